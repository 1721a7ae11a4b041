import type { Socket } from 'node:net'
import { breakOff } from '@ropewalk/peer/tunnels'

/** Two connections joined. */
export interface Splice {
  /** Bytes from `a` to `b`, and from `b` to `a`, until now. */
  readonly bytes: { readonly forth: number; readonly back: number }
  /** Breaks both off. */
  cut(): void
}

/** Joins two raw sockets; `closed` is called once when both are gone. A seam: a native pump may take its place. */
export type Splicer = (a: Socket, b: Socket, closed: (bytes: Splice['bytes']) => void) => Splice

/** Bytes by `pipe`: back-pressure and half-close pass; a reset of one side resets the other. */
export const pipeSplice: Splicer = (a, b, closed) => {
  // what was read before (hellos) does not count
  const before = { a: a.bytesRead, b: b.bytesRead }
  const bytes = (): Splice['bytes'] => ({ forth: a.bytesRead - before.a, back: b.bytesRead - before.b })
  let open = 2
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on('error', () => breakOff(other))
    one.once('close', () => {
      if (!one.readableEnded || !one.writableFinished) breakOff(other)
      if (--open === 0) closed(bytes())
    })
  }
  a.pipe(b)
  b.pipe(a)
  return {
    get bytes() {
      return bytes()
    },
    cut() {
      breakOff(a)
      breakOff(b)
    },
  }
}
