// Results while typing, on the search page: the address follows by replacing, Enter makes an entry of its own.
import { announce, fetchPage, ignore } from "./page.js"

const form = document.querySelector("[data-search]")
const input = form.querySelector("[data-search-input]")
const main = document.querySelector("main")
const address = () => location.pathname + location.search
const live = location.pathname === new URL(form.action).pathname
let committed = address()
let shown = committed
let timer, running

function wanted() {
  const parts = new URLSearchParams(new FormData(form)) // a picture to search by stands before the words
  parts.set("q", input.value.trim())
  return `${new URL(form.action).pathname}?${parts}`
}

// `patient`: somebody may still be typing, so a complaint waits a moment more.
async function show(url, patient = false) {
  clearTimeout(timer)
  running?.abort()
  running = new AbortController()
  const { signal } = running
  main.setAttribute("aria-busy", "true")
  const page = await fetchPage(url, { signal, errors: true }).finally(() => {
    if (!signal.aborted) main.removeAttribute("aria-busy")
  })
  if (patient && page.querySelector("[data-complaint]")) await new Promise(rest => setTimeout(rest, 1000))
  signal.throwIfAborted()
  const fresh = page.querySelector("main")
  if (!fresh) throw new Error(`${url} is answered, but with no page of ours`) // signed out, or a proxy in between
  const filtering = main.querySelector("[data-filters]")?.open
  shown = url
  main.replaceChildren(...fresh.childNodes)
  if (filtering) main.querySelector("[data-filters]")?.setAttribute("open", "")
  document.title = page.title
  announce(main.querySelector("[data-found]")?.textContent ?? main.querySelector(".empty-title")?.textContent)
  lookAgain(url)
}

// Without scripts the page says this in its head. Who reads or fills something in is not disturbed.
const inUse = () => scrollY > 0 || document.querySelector("dialog[open], main [data-filters][open], main :focus")

function lookAgain(url) {
  if (!main.querySelector("[data-waiting]")) return
  timer = setTimeout(() => inUse() ? lookAgain(url) : show(url).catch(ignore), 2000)
}

async function type() {
  const url = wanted()
  if (url === shown) running?.abort()
  if (url === shown || !input.value.trim()) return main.removeAttribute("aria-busy")
  await show(url, true)
  scrollTo(0, 0)
  history.replaceState(null, "", url)
}

if (live) {
  lookAgain(committed)
  input.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(() => type().catch(ignore), 250)
  })
  form.addEventListener("submit", async event => {
    event.preventDefault()
    const url = wanted()
    if (url === committed) return
    if (url !== shown) {
      try {
        await show(url)
      } catch (error) {
        return error.name === "AbortError" ? undefined : form.submit() // aborted: something newer was asked for
      }
      scrollTo(0, 0)
    }
    history.replaceState(null, "", committed)
    history.pushState(null, "", url)
    committed = url
  })
  addEventListener("popstate", () => {
    if (location.pathname !== new URL(form.action).pathname || address() === shown) return
    committed = address()
    input.value = new URLSearchParams(location.search).get("q") ?? ""
    show(committed).catch(() => location.reload())
  })
}
