import type { Duplex } from 'node:stream'

/**
 * Joins two streams: bytes with back-pressure both ways, an end of one side ends only that direction of the other, and a
 * side that breaks breaks the other.
 */
export function splice(a: Duplex, b: Duplex): void {
  const cut = (one: Duplex, other: Duplex) => {
    one.on('error', () => other.destroy())
    one.once('close', () => {
      // a clean end has travelled by pipe already; everything else must not look like one
      if (!one.readableEnded || !one.writableFinished) other.destroy()
    })
  }
  cut(a, b)
  cut(b, a)
  a.pipe(b)
  b.pipe(a)
}
