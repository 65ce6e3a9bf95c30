// Deleting from the lightbox leaves the reader where they were in the list, with a way to take it back.
import { announce } from "./page.js"

document.addEventListener("submit", async event => {
  const form = event.target.closest("[data-lightbox] [data-delete]")
  if (!form) return
  event.preventDefault()
  const answer = await fetch(form.action, { method: "POST", redirect: "manual" }).catch(() => null)
  if (answer?.type !== "opaqueredirect") return form.submit()
  const { picture } = form.closest("[data-picture]").dataset
  const tile = document.querySelector(`main [data-tile="${picture}"]`)
  const next = tile?.nextElementSibling ?? tile?.previousElementSibling
  form.closest("dialog").close()
  const place = { tile, parent: tile?.parentElement, before: tile?.nextElementSibling ?? null }
  tile?.remove()
  next?.querySelector("a").focus()
  offerUndo(form.action.replace(/delete$/, "restore"), place)
  announce("The picture is in the trash.")
})

function offerUndo(url, { tile, parent, before }) {
  document.querySelector(".toast")?.remove()
  const toast = document.createElement("div")
  toast.className = "toast"
  const button = document.createElement("button")
  button.type = "button"
  button.className = "button button-small"
  button.textContent = "Undo"
  toast.append("Moved to the trash.", button)
  document.body.append(toast)
  const gone = setTimeout(() => toast.remove(), 12000)
  button.addEventListener("click", async () => {
    clearTimeout(gone)
    const answer = await fetch(url, { method: "POST", redirect: "manual" }).catch(() => null)
    toast.remove()
    if (answer?.type !== "opaqueredirect") return announce("It could not be brought back. It is in the trash.")
    if (tile && parent) parent.insertBefore(tile, before?.parentElement === parent ? before : null)
    tile?.querySelector("a").focus()
    announce("The picture is back.")
  })
}
