// The status line asks again while there is something to do; a change of phase is said once.
import { announce, fetchPage, ignore } from "./page.js"

let asking = false
const pause = () => document.querySelector("[data-status]")?.dataset.poll

async function refresh() {
  const line = document.querySelector("[data-status]")
  if (!line || asking || document.hidden) return
  asking = true
  try {
    const fresh = (await fetchPage(line.dataset.status)).querySelector("[data-status]")
    if (fresh.dataset.phase !== line.dataset.phase) announce(fresh.querySelector("[data-say]")?.textContent)
    line.replaceWith(fresh)
    if (line.dataset.phase === "away" && fresh.dataset.phase !== "away") fetchAgain()
  } catch (error) {
    ignore(error)
  } finally {
    asking = false
  }
}

// Pictures that could not be had while their storage was away.
function fetchAgain() {
  for (const picture of document.images) if (picture.complete && !picture.naturalWidth) picture.src = picture.src
}

// A picture that does not come may mean that all are away: the line says so.
document.addEventListener("error", (event) => { if (event.target.tagName === "IMG" && !pause()) refresh() }, true)

// The line says itself how soon, in milliseconds; one that says nothing is left alone.
async function loop() {
  if (pause()) await refresh()
  setTimeout(loop, pause() ?? 1500)
}
setTimeout(loop, 1500)
document.addEventListener("glimpse:added", () => { if (!pause()) refresh() })
