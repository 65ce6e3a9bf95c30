// While pictures are being added, the start of the gallery follows without a reload; who reads further down is left alone.
import { fetchPage, ignore } from "./page.js"

const main = document.querySelector("main[data-gallery]")
let last = 0, stale = false
const atStart = () => scrollY < innerHeight && !document.querySelector("dialog[open]")

async function refresh() {
  if (!atStart() || main.querySelector("[data-filters][open], nav:focus-within")) return // somebody is about to use it
  last = Date.now()
  stale = false
  const fresh = (await fetchPage(main.dataset.gallery)).querySelector("main")
  const held = main.contains(document.activeElement) && document.activeElement.closest("[data-tile]")?.dataset.tile
  main.replaceChildren(...fresh.childNodes)
  if (held) main.querySelector(`[data-tile="${held}"] a`)?.focus()
}

if (main) {
  document.addEventListener("glimpse:added", () => {
    stale = true
    if (Date.now() - last > 3000) refresh().catch(ignore)
  })
  const follow = () => { if (stale) refresh().catch(ignore) }
  document.addEventListener("glimpse:finished", follow)
  document.querySelector("[data-lightbox]").addEventListener("close", follow)
}
