// Deleting from the lightbox leaves the reader where they were in the list.
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
  tile?.remove()
  next?.querySelector("a").focus()
  announce("The picture is deleted.")
})
