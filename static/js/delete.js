// Deleting from the lightbox leaves the reader where they were in the list, with a way to take it back.
import { forget } from "./neighbours.js"
import { announce } from "./page.js"

document.addEventListener("submit", async event => {
  const form = event.target.closest("[data-lightbox] [data-delete]")
  if (!form) return
  event.preventDefault()
  const answer = await fetch(form.action, { method: "POST", redirect: "manual" }).catch(() => null)
  if (answer?.type !== "opaqueredirect") return form.submit()
  forget()
  const { picture } = form.closest("[data-picture]").dataset
  const tile = document.querySelector(`main [data-tile="${picture}"]`)
  const tiles = [...document.querySelectorAll("main .tile")]
  const next = tile && (tiles[tiles.indexOf(tile) + 1] ?? tiles[tiles.indexOf(tile) - 1])
  form.closest("dialog").close()
  const group = tile?.closest(".group")
  const gone = group?.querySelectorAll(".tile").length === 1 ? group : tile // no day without pictures
  const place = { gone, parent: gone?.parentElement, before: gone?.nextElementSibling ?? null, tile }
  gone?.remove()
  stepBack()
  next?.querySelector("a").focus()
  offerUndo(form.action.replace(/delete$/, "restore"), place)
  announce("The picture is in the trash.")
})

// What comes after is one place further up now: the next page of a search is asked for once more from the page before.
function stepBack() {
  for (const link of document.querySelectorAll("main [data-more] a:not([data-back])")) {
    const url = new URL(link.href)
    const page = Number(url.searchParams.get("page"))
    if (page < 2) continue
    url.searchParams.set("page", page - 1)
    link.href = url
    link.dataset.back = ""
  }
}

function offerUndo(url, { gone, parent, before, tile }) {
  document.querySelector(".toast")?.remove()
  const toast = document.createElement("div")
  toast.className = "toast"
  const button = document.createElement("button")
  button.type = "button"
  button.className = "button button-small"
  button.textContent = "Undo"
  toast.append("Moved to the trash.", button)
  document.body.append(toast)
  const timer = setTimeout(() => toast.remove(), 12000)
  button.addEventListener("click", async () => {
    clearTimeout(timer)
    const answer = await fetch(url, { method: "POST", redirect: "manual" }).catch(() => null)
    toast.remove()
    if (answer?.type !== "opaqueredirect") return announce("It could not be brought back. It is in the trash.")
    forget()
    if (gone && parent) parent.insertBefore(gone, before?.parentElement === parent ? before : null)
    tile?.querySelector("a").focus()
    announce("The picture is back.")
  })
}
