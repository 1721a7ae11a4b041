import type { Socket } from 'node:net'
import type { Splice, Splicer } from 'node-wireguard'
import { breakOff } from './break-off.ts'

/**
 * Joins two raw sockets by the engine: back-pressure and half-close pass, and a side that breaks breaks the other off. Both
 * are destroyed when it is over. `greeting` is written into both before anything else.
 */
export function joinSockets(splicer: Splicer, a: Socket, b: Socket, greeting?: Uint8Array): Splice {
  const splice = splicer.join(a, b, greeting, greeting)
  void splice.closed.then(({ fault }) => {
    for (const socket of [a, b]) {
      if (fault === undefined) socket.destroy()
      else breakOff(socket)
    }
  })
  return splice
}
