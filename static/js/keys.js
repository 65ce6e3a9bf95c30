// `/` goes to the search box; on a picture, arrows follow its links and, outside the lightbox, Escape goes back.

const links = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", Escape: "[data-close]" }

document.addEventListener("keydown", event => {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return
  if (event.target.closest("input, textarea, select, [contenteditable]")) return
  const lightbox = document.querySelector("dialog[open]")
  if (event.key === "/" && !lightbox) {
    event.preventDefault()
    document.querySelector("[data-search-input]").select()
  } else if (event.key in links && !(lightbox && event.key === "Escape")) {
    (lightbox ?? document).querySelector(`[data-picture] ${links[event.key]}`)?.click()
  }
})
