// Sends files one per request, a few at a time, and tells how far it is. XHR, because fetch tells nothing while it sends.
import { readOutcome } from "./outcome.js"

const AT_ONCE = 3
const BUSY = [429, 503]
const LONGEST_WAIT = 30 // seconds
const MOST_WAITS = 60 // of one file: minutes

export class Transfer {
  waiting = []
  running = new Map() // request → bytes sent so far
  files = { all: 0, done: 0 }
  bytes = { all: 0, done: 0 }
  waits = new Map() // file → how often it was put off

  constructor(url, { progress, outcome, finished }) {
    Object.assign(this, { url, progress, outcome, finished })
  }

  get busy() { return this.running.size + this.waiting.length > 0 }

  get bytesSent() { return [...this.running.values()].reduce((sum, sent) => sum + sent, this.bytes.done) }

  add(files) {
    if (!this.busy) this.files.all = this.files.done = this.bytes.all = this.bytes.done = 0
    this.waiting.push(...files)
    this.files.all += files.length
    for (const file of files) this.bytes.all += file.size
    this.next()
  }

  cancel() {
    this.waiting = []
    clearTimeout(this.pause)
    this.pause = undefined
    for (const request of this.running.keys()) {
      request.onloadend = null
      request.abort()
    }
    this.running.clear()
    this.next()
  }

  next() {
    while (!this.pause && this.running.size < AT_ONCE && this.waiting.length) this.send(this.waiting.shift())
    this.progress()
    if (!this.busy) this.finished()
  }

  send(file) {
    const request = new XMLHttpRequest()
    const sent = bytes => this.running.set(request, Math.min(bytes, file.size))
    let putOff = false
    sent(0)
    request.upload.onprogress = event => { sent(event.loaded); this.progress() }
    request.onload = () => {
      putOff = this.putOff(file, request)
      if (!putOff) this.outcome(file, readOutcome(request))
    }
    request.onerror = () => this.outcome(file, { outcome: "failed", reason: "The connection was lost." })
    request.onloadend = () => {
      this.running.delete(request)
      if (!putOff) {
        this.files.done += 1
        this.bytes.done += file.size
      }
      this.next()
    }
    request.responseType = "json"
    request.open("POST", this.url)
    const body = new FormData()
    body.append("files", file, file.name)
    request.send(body)
  }

  // Where the server is busy and says until when, the file is in front again. Not for ever.
  putOff(file, request) {
    const seconds = BUSY.includes(request.status) && Number(request.getResponseHeader("Retry-After"))
    const waits = (this.waits.get(file) ?? 0) + 1
    if (!(seconds > 0) || waits > MOST_WAITS) {
      this.waits.delete(file)
      return false
    }
    this.waits.set(file, waits)
    this.waiting.unshift(file)
    this.pause ??= setTimeout(() => {
      this.pause = undefined
      this.next()
    }, 1000 * Math.min(seconds, LONGEST_WAIT))
    return true
  }
}
