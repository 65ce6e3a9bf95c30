// Marks, among the months to jump to, the one that is in view. The links work without this.

const main = document.querySelector("main")
const near = new IntersectionObserver(entries => entries.forEach(entry => entry.isIntersecting && mark(entry.target)), {
  rootMargin: "-15% 0px -80% 0px", // a line in the upper part of the window
})

function mark(group) {
  const link = document.querySelector(`[data-rail] [data-month="${group.dataset.day.slice(0, 7)}"]`)
  const marked = document.querySelector("[data-rail] [aria-current]")
  if (!link || link === marked) return
  marked?.removeAttribute("aria-current")
  link.setAttribute("aria-current", "true")
  link.closest("details").open = true
  link.scrollIntoView({ block: "nearest" })
}

function observe() {
  if (document.querySelector("[data-rail]")) main.querySelectorAll(".group[data-day]").forEach(group => near.observe(group))
}
new MutationObserver(observe).observe(main, { childList: true, subtree: true })
observe()
