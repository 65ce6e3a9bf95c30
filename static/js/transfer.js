// Sends files one per request, a few at a time, and tells how far it is. XHR, because fetch tells nothing while it sends.

const AT_ONCE = 3

export class Transfer {
  waiting = []
  running = new Map() // request → bytes sent so far
  files = 0
  filesDone = 0
  bytes = 0
  bytesDone = 0

  constructor(url, { progress, outcome, finished }) {
    Object.assign(this, { url, progress, outcome, finished })
  }

  get busy() { return this.running.size + this.waiting.length > 0 }

  get bytesSent() { return [...this.running.values()].reduce((sum, sent) => sum + sent, this.bytesDone) }

  add(files) {
    if (!this.busy) this.files = this.filesDone = this.bytes = this.bytesDone = 0
    for (const file of files) {
      this.waiting.push(file)
      this.files += 1
      this.bytes += file.size
    }
    this.next()
  }

  cancel() {
    this.waiting = []
    for (const request of this.running.keys()) request.abort()
  }

  next() {
    while (this.running.size < AT_ONCE && this.waiting.length) this.send(this.waiting.shift())
    this.progress()
    if (!this.busy) this.finished()
  }

  send(file) {
    const request = new XMLHttpRequest()
    const body = new FormData()
    body.append("files", file, file.name)
    this.running.set(request, 0)
    request.upload.onprogress = event => {
      this.running.set(request, Math.min(event.loaded, file.size))
      this.progress()
    }
    request.onload = () => this.outcome(file, read(request))
    request.onerror = () => this.outcome(file, { outcome: "failed", reason: "The connection was lost." })
    request.onloadend = () => {
      this.running.delete(request)
      this.filesDone += 1
      this.bytesDone += file.size
      this.next()
    }
    request.responseType = "json"
    request.open("POST", this.url)
    request.send(body)
  }
}

function read({ status, response }) {
  if (status === 200 && response?.results?.length) return response.results[0]
  const reason = response?.detail ?? `The server answered ${status}.`
  return { outcome: status >= 400 && status < 500 ? "rejected" : "failed", reason: String(reason) }
}
