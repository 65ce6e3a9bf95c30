// Adding pictures from any page: the panel shows how far it is and keeps the outcome of each file.
import { outcomeRow } from "./outcome.js"
import { announce } from "./page.js"
import { Transfer } from "./transfer.js"

const WORDS = { added: "added", duplicate: "already here", rejected: "not taken", failed: "not sent" }
const panel = document.querySelector("[data-upload]")
const part = name => panel.querySelector(`[data-upload-${name}]`)
const size = bytes => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
const ask = event => event.preventDefault()
let counts, drawn, cancelled

const transfer = new Transfer(panel.dataset.api, {
  progress: () => { drawn ??= requestAnimationFrame(draw) },
  outcome: list,
  finished: finish,
})

function start(files) {
  if (!files.length && !files.unreadable) return
  document.querySelector("dialog[open]")?.close() // nothing is to be seen behind it
  if (!transfer.busy) {
    cancelled = false
    counts = { added: 0, duplicate: 0, rejected: 0, failed: 0 }
    addEventListener("beforeunload", ask)
  }
  counts.failed += files.unreadable ?? 0
  part("title").textContent = "Adding pictures"
  panel.hidden = part("cancel").hidden = false
  part("close").hidden = part("gallery").hidden = true
  transfer.add(files)
}

function draw() {
  const { files, bytes, bytesSent } = transfer
  part("bar").max = bytes.all || 1
  part("bar").value = bytesSent
  part("count").textContent = `${files.done} of ${files.all} files · ${size(bytesSent)} of ${size(bytes.all)}`
  drawn = undefined
}

function list(file, result) {
  const counted = counts
  counted[result.outcome] += 1
  part("outcomes").prepend(outcomeRow(panel, file, result, file => again(file, counted)))
  if (result.outcome === "added") document.dispatchEvent(new CustomEvent("glimpse:added"))
}

function again(file, counted) {
  if (transfer.busy && counted === counts) counts.failed -= 1 // else all is counted anew
  start([file])
  part("cancel").focus()
}

function finish() {
  removeEventListener("beforeunload", ask)
  const told = Object.keys(WORDS).filter(key => counts[key]).map(key => `${counts[key]} ${WORDS[key]}`)
  if (cancelled) told.unshift("Cancelled")
  announce(part("title").textContent = told.join(" · ") || "Nothing added")
  part("close").hidden = false
  part("cancel").hidden = true
  part("gallery").hidden = !counts.added
  document.dispatchEvent(new CustomEvent("glimpse:finished"))
}

document.addEventListener("glimpse:files", event => start(event.detail))
part("cancel").addEventListener("click", () => {
  cancelled = true
  transfer.cancel()
  part("close").focus()
})
part("close").addEventListener("click", () => {
  panel.hidden = true
  part("outcomes").replaceChildren()
  document.querySelector("main").focus({ preventScroll: true })
})
