// Tiles in view that still wait for their thumbnail are asked for again, all in one request, one request at a time.
import { fetchPage, ignore } from "./page.js"

const first = 1200, longest = 10_000
let pause = first

function inView(tile) {
  const { top, bottom } = tile.getBoundingClientRect()
  return bottom > -300 && top < innerHeight + 600
}

async function refresh() {
  const waiting = [...document.querySelectorAll("main [data-pending]")].filter(inView).slice(0, 100)
  if (!waiting.length || document.hidden) return
  const ids = waiting.map(tile => tile.dataset.tile)
  const page = await fetchPage(`${document.body.dataset.tiles}?ids=${ids}`)
  const answers = new Map([...page.querySelectorAll("[data-tile]")].map(tile => [tile.dataset.tile, tile]))
  let changed = false
  for (const tile of waiting) {
    const answer = answers.get(tile.dataset.tile)
    if (answer?.hasAttribute("data-pending")) continue
    changed = true
    if (answer) swap(tile, answer)
    else tile.remove()
  }
  pause = changed ? first : Math.min(pause * 1.5, longest)
}

function swap(tile, answer) {
  const focused = tile.contains(document.activeElement)
  const link = answer.querySelector("a"), words = tile.querySelector(".tile-words")
  link.href = tile.querySelector("a").href // it stays in the list it stands in
  if (words) link.append(words)
  tile.replaceWith(answer)
  if (focused) link.focus()
}

async function loop() {
  await refresh().catch(ignore)
  setTimeout(loop, pause)
}
document.addEventListener("glimpse:added", () => { pause = first })
loop()
