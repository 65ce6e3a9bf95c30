// Where files come from: dropped anywhere, pasted, or chosen in a form (with this script a choice needs no second step).
import { carriesFiles, droppedFiles } from "./files.js"

const drop = document.querySelector("[data-drop]")
const take = files => document.dispatchEvent(new CustomEvent("glimpse:files", { detail: files }))

document.addEventListener("change", event => {
  const form = event.target.closest("[data-upload-form]")
  if (!form) return
  take([...event.target.files])
  form.reset()
})
document.addEventListener("paste", event => take([...event.clipboardData.files]))
document.addEventListener("dragover", event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  if (!drop.matches(":popover-open")) drop.showPopover()
})
document.addEventListener("dragleave", event => { if (!event.relatedTarget) drop.hidePopover() })
document.addEventListener("drop", async event => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  drop.hidePopover()
  take(await droppedFiles(event.dataTransfer))
})
