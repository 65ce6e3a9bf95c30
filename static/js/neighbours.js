// The pages of the previous and next picture are fetched before they are asked for, so that arrows answer at once.
import { fetchPage } from "./page.js"

let pages = new Map() // address → promise of its page

export const picturePage = url => pages.get(url) ?? fetchPage(url)

// What was fetched knows nothing of a picture that was deleted, or brought back, since.
export function forget() { pages = new Map() }

export function lookAhead(urls) {
  pages = new Map(urls.map(url => [url, picturePage(url)]))
  for (const page of pages.values()) page.then(preload, () => {})
}

function preload(page) {
  const { srcset, sizes } = page.querySelector(".stage-picture") ?? {}
  if (srcset) Object.assign(new Image(), { sizes, srcset })
}
