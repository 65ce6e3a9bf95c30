// The main part of a picture's page in a dialog over the list it was opened from. The address is the picture's.
import { announce, fetchPage, isPlainClick } from "./page.js"

const dialog = document.querySelector("[data-lightbox]")
const base = document.querySelector("main [data-picture]") ? null : document.title
let ahead = new Map()
let latest

const picturePage = url => ahead.get(url) ?? fetchPage(url)

async function show(url) {
  latest = url
  const page = await picturePage(url).catch(() => null)
  const picture = page?.querySelector("[data-picture]")
  if (!picture) return location.assign(url)
  if (latest !== url) return
  const held = document.activeElement?.rel
  dialog.replaceChildren(document.importNode(picture, true))
  dialog.setAttribute("aria-label", page.title)
  document.title = page.title
  if (!dialog.open) dialog.showModal()
  else announce(picture.querySelector("h1").textContent)
  dialog.scrollTop = 0;
  (held && dialog.querySelector(`a[rel=${held}]`) || dialog.querySelector("[data-close]")).focus()
  lookAhead()
}

// The neighbours are fetched before they are asked for, so that arrows answer at once.
function lookAhead() {
  const links = [...dialog.querySelectorAll(".stage a[rel]")].map(link => link.href)
  ahead = new Map(links.map(url => [url, ahead.get(url) ?? fetchPage(url)]))
  for (const promise of ahead.values()) {
    promise.then(page => {
      const { srcset, sizes } = page.querySelector(".stage-picture") ?? {}
      if (srcset) Object.assign(new Image(), { sizes, srcset })
    }, () => {})
  }
}

function open(url) {
  const state = { lightbox: true }
  if (dialog.open) history.replaceState(state, "", url)
  else history.pushState(state, "", url)
  show(url)
}

if (base !== null) {
  document.addEventListener("click", event => {
    const link = event.target.closest(".tile a, [data-lightbox] .stage a[rel], [data-lightbox] [data-close]")
    if (!link || !isPlainClick(event)) return
    event.preventDefault()
    if (link.matches("[data-close]")) dialog.close()
    else open(link.href)
  })
  dialog.addEventListener("keydown", event => {
    const tiles = document.querySelectorAll("main .tile a")
    const end = { Home: tiles[0], End: tiles[tiles.length - 1] }[event.key]
    if (!end) return
    event.preventDefault()
    open(end.href)
  })
  dialog.addEventListener("close", () => {
    const id = dialog.querySelector("[data-picture]")?.dataset.picture
    latest = null
    dialog.replaceChildren()
    document.title = base
    if (history.state?.lightbox) history.back()
    document.querySelector(`main [data-tile="${id}"] a`)?.focus()
  })
  addEventListener("popstate", event => {
    if (event.state?.lightbox) show(location.href)
    else if (dialog.open) dialog.close()
  })
} else {
  // Reached by reloading an address that a lightbox had set: the entries around it belong to another page.
  addEventListener("popstate", () => location.reload())
}
