// Sends files one per request, a few at a time, and tells how far it is. XHR, because fetch tells nothing while it sends.
import { readOutcome } from "./outcome.js"

const AT_ONCE = 3

export class Transfer {
  waiting = []
  running = new Map() // request → bytes sent so far
  files = { all: 0, done: 0 }
  bytes = { all: 0, done: 0 }

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
    for (const request of this.running.keys()) {
      request.onloadend = null
      request.abort()
    }
    this.running.clear()
    this.next()
  }

  next() {
    while (this.running.size < AT_ONCE && this.waiting.length) this.send(this.waiting.shift())
    this.progress()
    if (!this.busy) this.finished()
  }

  send(file) {
    const request = new XMLHttpRequest()
    const sent = bytes => this.running.set(request, Math.min(bytes, file.size))
    sent(0)
    request.upload.onprogress = event => { sent(event.loaded); this.progress() }
    request.onload = () => this.outcome(file, readOutcome(request))
    request.onerror = () => this.outcome(file, { outcome: "failed", reason: "The connection was lost." })
    request.onloadend = () => {
      this.running.delete(request)
      this.files.done += 1
      this.bytes.done += file.size
      this.next()
    }
    request.responseType = "json"
    request.open("POST", this.url)
    const body = new FormData()
    body.append("files", file, file.name)
    request.send(body)
  }
}
