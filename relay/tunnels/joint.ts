import type { Socket } from 'node:net'
import { joinSockets } from '@ropewalk/peer/tunnels'
import type { SpliceBytes, Splicer } from 'node-wireguard'

/** Two connections joined. */
export interface Joint {
  /** Bytes from `a` to `b`, and from `b` to `a`, until now. */
  readonly bytes: SpliceBytes
  /** Breaks both off. */
  cut(): void
}

/** What is joined. */
export interface JointOptions {
  readonly a: Socket
  readonly b: Socket
  /** Written into both before anything else. */
  readonly greeting: Uint8Array
  /** Called once when both are gone. */
  readonly closed: (bytes: SpliceBytes) => void
}

/** How two raw sockets become one: back-pressure and half-close pass, and a reset of one side resets the other. */
export type Joiner = (options: JointOptions) => Joint

/** By the engine. */
export function joinBy(splicer: Splicer, { a, b, greeting, closed }: JointOptions): Joint {
  const splice = joinSockets(splicer, a, b, greeting)
  void splice.closed.then(() => closed(splice.bytes))
  return splice
}
