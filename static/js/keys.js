// `/` goes to the search box. On a picture arrows follow its links and Escape goes back; in the lightbox the dialog
// itself hears Escape, and Home and End open the first and last picture of the list.

const links = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", Escape: "[data-close]" }
const ends = { Home: 0, End: -1 }

document.addEventListener("keydown", event => {
  const { key, target } = event
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || target.closest("input, select")) return
  const lightbox = document.querySelector("dialog[open]")
  if (key === "/" && !lightbox) {
    event.preventDefault()
    document.querySelector("[data-search-input]").select()
  } else if (key in links && !(lightbox && key === "Escape")) {
    (lightbox ?? document).querySelector(`[data-picture] ${links[key]}`)?.click()
  } else if (key in ends && lightbox) {
    event.preventDefault();
    [...document.querySelectorAll("main .tile a")].at(ends[key])?.click()
  }
})
