// Adding pictures from any page: dropped, pasted or chosen in the form. The panel keeps the outcome of each file.
import { carriesFiles, droppedFiles } from "./files.js"
import { announce } from "./page.js"
import { Transfer } from "./transfer.js"

const panel = document.querySelector("[data-upload]")
const part = name => panel.querySelector(`[data-upload-${name}]`)
const drop = document.querySelector("[data-drop]")
const megabytes = bytes => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
let counts, drawn

const transfer = new Transfer(panel.dataset.api, {
  progress: () => { drawn ??= requestAnimationFrame(draw) },
  outcome: list,
  finished: finish,
})

function start(files) {
  if (!files.length) return
  if (!transfer.busy) {
    counts = { added: 0, duplicate: 0, rejected: 0, failed: 0 }
    if (!part("outcomes").querySelector("[data-retry]")) part("outcomes").replaceChildren()
    addEventListener("beforeunload", ask)
  }
  panel.hidden = false
  part("close").hidden = true
  part("cancel").hidden = false
  part("gallery").hidden = true
  part("title").textContent = "Adding pictures"
  transfer.add(files)
}

function draw() {
  drawn = undefined
  const { files, filesDone, bytes, bytesSent } = transfer
  part("bar").max = bytes || 1
  part("bar").value = bytesSent
  part("count").textContent = `${filesDone} of ${files} files · ${megabytes(bytesSent)} of ${megabytes(bytes)}`
}

function list(file, { outcome, reason, url }) {
  counts[outcome] += 1
  const row = panel.querySelector(`template[data-outcome=${outcome}]`).content.cloneNode(true).firstElementChild
  const name = row.querySelector("[data-name]")
  if (url) name.append(Object.assign(document.createElement("a"), { href: url, textContent: file.name }))
  else name.textContent = file.name
  if (reason) row.querySelector("[data-note]").textContent = reason
  row.querySelector("[data-retry]")?.addEventListener("click", () => {
    row.remove()
    start([file])
  })
  part("outcomes").prepend(row)
  if (outcome === "added") document.dispatchEvent(new CustomEvent("glimpse:added"))
}

function finish() {
  removeEventListener("beforeunload", ask)
  const words = { added: "added", duplicate: "already here", rejected: "not taken", failed: "not sent" }
  const told = Object.keys(words).filter(key => counts[key]).map(key => `${counts[key]} ${words[key]}`)
  part("title").textContent = told.join(" · ") || "Nothing added"
  part("close").hidden = false
  part("cancel").hidden = true
  part("gallery").hidden = !counts.added || Boolean(document.querySelector("[data-gallery]"))
  announce(part("title").textContent)
  document.dispatchEvent(new CustomEvent("glimpse:finished"))
}

function ask(event) { event.preventDefault() }

part("cancel").addEventListener("click", () => transfer.cancel())
part("close").addEventListener("click", () => { panel.hidden = true })

// With this script a choice needs no second step; forms may arrive later, when another script swaps content.
document.documentElement.classList.add("uploads")
document.addEventListener("change", event => {
  const form = event.target.closest("[data-upload-form]")
  if (!form) return
  start([...event.target.files])
  form.reset()
})
document.addEventListener("paste", event => start([...event.clipboardData.files]))
document.addEventListener("dragover", event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  drop.hidden = false
})
document.addEventListener("dragleave", event => { if (!event.relatedTarget) drop.hidden = true })
document.addEventListener("drop", async event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  drop.hidden = true
  start(await droppedFiles(event.dataTransfer))
})
