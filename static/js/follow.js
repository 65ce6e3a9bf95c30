// A page that changes by itself while something is under way: that part is fetched again, and all of it at the end.
// Without scripts its head says so.
import { fetchPage, ignore } from "./page.js"

const main = document.querySelector("main")
const part = () => main.querySelector("[data-follow]")
const inUse = () => main.querySelector(":focus") || document.querySelector("dialog[open]")

async function follow() {
  const fresh = (await fetchPage(location.href, { errors: true })).querySelector("main")
  if (!fresh) return location.reload() // signed out, say
  const after = fresh.querySelector("[data-follow]")
  if (after && part()) part().replaceWith(after)
  else if (!inUse()) main.replaceChildren(...fresh.childNodes)
}

async function loop() {
  if (part() && !document.hidden) await follow().catch(ignore)
  if (part()) setTimeout(loop, Number(part().dataset.follow))
}
if (part()) setTimeout(loop, Number(part().dataset.follow))
