// Where files come from: dropped anywhere, pasted, or chosen in a form (with this script a choice needs no second step).
// What is dropped on the search box is searched by, and so is what is pasted where no upload form asks for pictures.
import { carriesFiles, droppedFiles } from "./files.js"

const drop = document.querySelector("[data-drop]")
const take = files => document.dispatchEvent(new CustomEvent("glimpse:files", { detail: files }))

document.addEventListener("change", event => {
  const form = event.target.closest("[data-upload-form]")
  if (!form) return
  take([...event.target.files])
  form.reset()
})
const searchBy = file => document.dispatchEvent(new CustomEvent("glimpse:picture", { detail: file }))
const overBox = event => event.target.closest?.("[data-search]")
const mark = box => document.querySelector("[data-search]")?.toggleAttribute("data-over", Boolean(box))

document.addEventListener("paste", event => {
  const files = [...event.clipboardData.files]
  if (!files.length) return
  // Office programs put a picture of the text beside the text.
  if (event.target.closest?.("input, textarea") && ["text/plain", "text/html"].every(type => event.clipboardData.types.includes(type))) return
  event.preventDefault()
  if (document.querySelector("[data-upload-form]")) take(files)
  else searchBy(files[0])
})
document.addEventListener("dragover", event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  const box = overBox(event)
  mark(box)
  if (drop.matches(":popover-open") === Boolean(box)) drop.togglePopover()
})
document.addEventListener("dragleave", event => {
  if (event.relatedTarget) return
  mark(null)
  drop.hidePopover()
})
document.addEventListener("drop", async event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  const box = overBox(event)
  mark(null)
  drop.hidePopover()
  const files = await droppedFiles(event.dataTransfer)
  if (box && files.length) searchBy(files[0])
  else take(files)
})
