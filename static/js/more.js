// Follows the link to the next page before the reader reaches it. The link stays: it is what works without this.
import { fetchPage, ignore } from "./page.js"

const near = new IntersectionObserver(entries => entries.forEach(entry => entry.isIntersecting && load(entry.target)), {
  rootMargin: "1400px 0px",
})
const loading = new WeakSet()

async function load(pager) {
  if (loading.has(pager)) return
  loading.add(pager)
  try {
    const page = await fetchPage(pager.querySelector("a").href, { fragment: true })
    if (pager.isConnected) append(pager, page)
  } catch (error) {
    ignore(error)
    near.unobserve(pager)
  }
}

function append(pager, page) {
  for (const { dataset } of document.querySelectorAll("main [data-tile]")) {
    page.querySelector(`[data-tile="${dataset.tile}"]`)?.remove() // it was prepared meanwhile, and stands under another day
  }
  const fold = page.querySelector("[data-uncertain]")
  if (fold && !pager.closest("[data-uncertain]")) fold.open = false
  else fold?.replaceWith(...fold.querySelectorAll(".group, [data-more]")) // more of the fold that is open already
  for (const group of page.querySelectorAll(":not([data-uncertain]) > .group")) {
    if (group.querySelector(".tile")) join(pager, group)
  }
  const next = page.querySelector("[data-uncertain], [data-more]")
  if (next) pager.replaceWith(next)
  else pager.remove()
}

function join(pager, group) {
  const last = pager.parentElement.querySelector(":scope > .group:nth-last-of-type(1)")
  if (last?.dataset.day === group.dataset.day) last.querySelector(".tiles").append(...group.querySelectorAll(".tile"))
  else pager.before(group)
}

// Pages arrive from several scripts, so pagers are looked for wherever the content changes.
function observe() {
  document.querySelectorAll("main [data-more]").forEach(pager => near.observe(pager))
}
new MutationObserver(observe).observe(document.querySelector("main"), { childList: true, subtree: true })
observe()
