// The status line asks again while there is something to do; a change of phase is said once.
import { announce, fetchPage, ignore } from "./page.js"

let asking = false

async function refresh() {
  const line = document.querySelector("[data-status]")
  if (!line || asking) return
  asking = true
  try {
    const fresh = (await fetchPage(line.dataset.status)).querySelector("[data-status]")
    if (fresh.dataset.phase !== line.dataset.phase) announce(fresh.querySelector("[data-say]")?.textContent)
    line.replaceWith(fresh)
  } catch (error) {
    ignore(error)
  } finally {
    asking = false
  }
}

setInterval(() => {
  if (!document.hidden && document.querySelector("[data-status][data-poll]")) refresh()
}, 1500)
document.addEventListener("glimpse:added", refresh)
