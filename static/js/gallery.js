// While pictures are being added, the start of the gallery follows without a reload.
import { fetchPage, ignore } from "./page.js"

const main = document.querySelector("main[data-gallery]")
let last = 0

async function refresh() {
  if (main.querySelector("[data-filters][open]")) return // somebody fills it in
  last = Date.now()
  const fresh = (await fetchPage(main.dataset.gallery)).querySelector("main")
  const held = main.contains(document.activeElement) && document.activeElement.closest("[data-tile]")?.dataset.tile
  main.replaceChildren(...fresh.childNodes)
  if (held) main.querySelector(`[data-tile="${held}"] a`)?.focus()
}

if (main) {
  document.addEventListener("glimpse:added", () => {
    if (Date.now() - last > 3000 && scrollY < innerHeight) refresh().catch(ignore)
  })
  document.addEventListener("glimpse:finished", () => refresh().catch(ignore))
}
