// A picture to search by: chosen, pasted, or dropped on the box. It is sent as the plain form would.

const form = document.querySelector("[data-by-picture]")
const input = document.querySelector("[data-picture-file]")

function send() {
  const url = new URL(form.action)
  const words = document.querySelector("[data-search-input]").value.trim()
  if (words) url.searchParams.set("q", words)
  else url.searchParams.delete("q")
  form.action = url
  form.requestSubmit()
}

input?.addEventListener("change", () => { if (input.files.length) send() })
document.addEventListener("glimpse:picture", event => {
  const transfer = new DataTransfer()
  transfer.items.add(event.detail)
  input.files = transfer.files
  send()
})
