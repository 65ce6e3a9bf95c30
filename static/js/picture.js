// A picture that is still being prepared is looked at again until it can be shown, on its page or in the lightbox.
import { fetchPage, ignore } from "./page.js"

async function refresh() {
  const waiting = document.querySelector("[data-picture]:has([data-waiting])")
  if (waiting && !document.hidden) {
    const answer = (await fetchPage(location.href)).querySelector("[data-picture]")
    if (answer && waiting.isConnected && !answer.querySelector("[data-waiting]")) waiting.replaceWith(answer)
  }
}

async function loop() {
  await refresh().catch(ignore)
  setTimeout(loop, 2000)
}
loop()
