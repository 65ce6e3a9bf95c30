// What became of one file: read from the server's answer, shown as a row of the list.

const LATER = [401, 408, 429] // may go well another time
const SIGNED_OUT = "You are signed out. Sign in in another tab, then try again."

export function readOutcome({ status, response }) {
  if (status === 200 && response?.results?.length) return response.results[0]
  const reason = status === 401 ? SIGNED_OUT : String(response?.detail ?? `The server answered ${status}.`)
  const rejected = status >= 400 && status < 500 && !LATER.includes(status)
  return { outcome: rejected ? "rejected" : "failed", reason }
}

export function outcomeRow(templates, file, { outcome, reason, url }, again) {
  const row = templates.querySelector(`template[data-outcome=${outcome}]`).content.cloneNode(true).firstElementChild
  const name = row.querySelector("[data-name]")
  if (url) name.append(Object.assign(document.createElement("a"), { href: url, textContent: file.name }))
  else name.textContent = file.name
  if (reason) row.querySelector("[data-note]").textContent = reason
  row.querySelector("[data-retry]")?.addEventListener("click", () => {
    row.remove()
    again(file)
  })
  return row
}
