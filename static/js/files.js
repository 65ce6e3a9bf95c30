// Files of a drop, those in dropped folders included; hidden ones left out.

// A picture of a page that is dragged is a file to browsers, and no file to add: it is here already.
let own = false
document.addEventListener("dragstart", () => (own = true))
document.addEventListener("dragend", () => (own = false))

export function carriesFiles(event) {
  return !own && event.dataTransfer?.types.includes("Files")
}

// `unreadable` of the answer: how many files or folders the browser may not read. They cost themselves.
export async function droppedFiles(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean)
  if (!entries.length) return [...transfer.files]
  const found = (await Promise.all(entries.map(readable))).flat()
  const files = found.filter(Boolean)
  return Object.assign(files, { unreadable: found.length - files.length })
}

const readable = entry => filesOf(entry).catch(() => [null])

async function filesOf(entry) {
  if (entry.name.startsWith(".")) return []
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))]
  const reader = entry.createReader()
  const inside = []
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (!some.length) break // a folder is read about a hundred names at a time
    inside.push(...some)
  }
  return (await Promise.all(inside.map(readable))).flat()
}
