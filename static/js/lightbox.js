// The main part of a picture's page in a dialog over the list it was opened from. The address is the picture's.
import { lookAhead, picturePage } from "./neighbours.js"
import { announce, isPlainClick } from "./page.js"

const dialog = document.querySelector("[data-lightbox]")
const status = dialog.querySelector("[data-announce]") // live regions outside a modal dialog are not heard
let title, latest

async function show(url) {
  latest = url
  const page = await picturePage(url).catch(() => null)
  const picture = page?.querySelector("[data-picture]")
  if (latest !== url) return
  if (!picture) return location.assign(url)
  const held = dialog.contains(document.activeElement) && document.activeElement.rel
  if (!dialog.open) title = document.title
  dialog.replaceChildren(document.importNode(picture, true), status)
  dialog.setAttribute("aria-label", document.title = page.title)
  if (dialog.open) announce(picture.querySelector("h1").textContent)
  else dialog.showModal()
  dialog.scrollTop = 0
  const links = [...dialog.querySelectorAll(".stage a[rel]")];
  (links.find(link => link.rel === held) ?? dialog.querySelector("[data-close]")).focus()
  lookAhead(links.map(link => link.href))
}

function open(url) {
  if (dialog.open || history.state?.lightbox) history.replaceState({ lightbox: true }, "", url)
  else history.pushState({ lightbox: true }, "", url)
  show(url)
}

function closed() {
  const id = dialog.querySelector("[data-picture]")?.dataset.picture
  latest = null
  dialog.replaceChildren(status)
  document.title = title
  if (history.state?.lightbox) history.back()
  document.querySelector(`main [data-tile="${id}"] a`)?.focus()
}

if (!document.querySelector("main [data-picture]")) {
  document.addEventListener("click", event => {
    const link = event.target.closest(".tile a, [data-lightbox] .stage a[rel], [data-lightbox] [data-close]")
    if (!link || !isPlainClick(event)) return
    event.preventDefault()
    if (link.matches("[data-close]")) dialog.close()
    else open(link.href)
  })
  dialog.addEventListener("close", closed)
  addEventListener("popstate", event => {
    if (event.state?.lightbox) show(location.href)
    else {
      latest = null
      if (dialog.open) dialog.close()
    }
  })
} else {
  // Reached by reloading an address that a lightbox had set: the entries around it belong to another page.
  addEventListener("popstate", () => location.reload())
}
