// While pictures are being added, the start of the gallery follows without a reload.
import { fetchPage, ignore } from "./page.js"

const main = document.querySelector("main[data-gallery]")
let last = 0

async function refresh() {
  last = Date.now()
  const fresh = (await fetchPage(main.dataset.gallery)).querySelector("main")
  main.replaceChildren(...fresh.childNodes)
}

if (main) {
  document.addEventListener("glimpse:added", () => {
    if (Date.now() - last > 3000 && scrollY < innerHeight) refresh().catch(ignore)
  })
  document.addEventListener("glimpse:finished", () => refresh().catch(ignore))
}
