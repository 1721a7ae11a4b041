import type { Duplex } from 'node:stream'
import { breakOff } from './break-off.ts'
import { pour } from './pour.ts'

/**
 * Joins two streams that keep their halves apart (`allowHalfOpen`): bytes with back-pressure both ways, an end ends one
 * direction only, and a side that breaks breaks the other off. `closed` is called once when both are gone.
 */
export function join(a: Duplex, b: Duplex, closed?: () => void): void {
  let open = 2
  const watch = (one: Duplex, other: Duplex): void => {
    one.on('error', () => breakOff(other))
    one.once('close', () => {
      // a clean end has travelled by pipe already; anything else must not look like one
      if (!one.readableEnded || !one.writableFinished) breakOff(other)
      if (--open === 0) closed?.()
    })
  }
  watch(a, b)
  watch(b, a)
  if (a.destroyed || b.destroyed) {
    for (const stream of [a, b]) breakOff(stream)
    return
  }
  pour(a, b)
  pour(b, a)
}
