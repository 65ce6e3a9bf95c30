// Pages are the interface: scripts fetch the same HTML a person would, and take the part they need.

// `errors`: an error page is as good an answer as any; otherwise it is thrown.
export async function fetchPage(url, { signal, fragment = false, errors = false } = {}) {
  const headers = fragment ? { "HX-Request": "true" } : {}
  const response = await fetch(url, { headers, signal })
  if (!response.ok && !errors) throw new Error(`${url} answered ${response.status}`)
  return new DOMParser().parseFromString(await response.text(), "text/html")
}

// Said once by a screen reader; nothing to see.
export function announce(text) {
  const words = text?.trim().replace(/\s+/g, " ")
  if (!words) return
  const region = document.querySelector("dialog[open] [data-announce]") ?? document.querySelector("body > [data-announce]")
  region.textContent = words
}

export function isPlainClick(event) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey
}

export function ignore(error) {
  if (error.name !== "AbortError") console.warn(error.message)
}
