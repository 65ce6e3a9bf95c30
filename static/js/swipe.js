// One finger, sideways, on the picture: the previous or next one. Zoomed in, a finger moves the picture instead.

let start

document.addEventListener("touchstart", event => {
  const single = event.touches.length === 1 && (window.visualViewport?.scale ?? 1) < 1.05
  start = single && event.target.closest(".stage") ? event.touches[0] : null
}, { passive: true })

document.addEventListener("touchend", event => {
  if (!start) return
  const across = event.changedTouches[0].clientX - start.clientX
  const down = event.changedTouches[0].clientY - start.clientY
  if (Math.abs(across) > 60 && Math.abs(down) < 40) {
    event.target.closest(".stage")?.querySelector(across > 0 ? "a[rel=prev]" : "a[rel=next]")?.click()
  }
}, { passive: true })
