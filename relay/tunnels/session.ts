import type { Socket } from 'node:net'
import { breakOff, type Channel } from '@ropewalk/peer/tunnels'
import { createOnceWindow, streamIdOf } from '@ropewalk/shared/tunnel'
import type { Proven } from './handshake.ts'

/** An agent's own stream numbers are below this, the relay's calls above: one id never means two things. */
const FIRST_CALL = 2 ** 32
/** More data connections than any honest agent keeps. */
const MAX_POOLED = 64

/** A control stream that has proven who holds it. */
export interface Session extends Proven {
  readonly channel: Channel
  readonly since: number
  /** Most streams the agent takes at once; 0 until it has registered. */
  maxStreams: number
  /** True the first time for each number that the client chose itself. */
  isNew(number: number): boolean
  /** A stream id for a call to the agent. */
  nextCall(): Uint8Array
  readonly pooled: number
  /** Keeps a data connection for a stream to come; false when there are too many. */
  keep(pooled: Pooled): boolean
  /** The youngest that waits: it is the likeliest to be alive. */
  take(): Pooled | undefined
  /** Drops what waits. */
  drop(): void
}

/** A data connection of an agent that waits for a stream. */
export interface Pooled {
  readonly socket: Socket
  readonly stream: Uint8Array
}

/** The session of a fresh control stream. */
export function createSession(proven: Proven, channel: Channel): Session {
  const once = createOnceWindow()
  const pool = new Map<Socket, { readonly pooled: Pooled; readonly release: () => void }>()
  let calls = FIRST_CALL
  return {
    ...proven,
    channel,
    since: Date.now(),
    maxStreams: 0,
    isNew: (number) => number < FIRST_CALL && once.use(number),
    nextCall: () => streamIdOf(proven.session, calls++),
    get pooled() {
      return pool.size
    },
    keep(pooled) {
      if (pool.size >= MAX_POOLED) return false
      const { socket } = pooled
      const lost = (): void => {
        release()
        pool.delete(socket)
        breakOff(socket)
      }
      // whatever an idle connection says is a fault: before GO there is nothing to say
      const spoke = (): void => {
        if (socket.readableLength > 0) lost()
      }
      const release = (): void => {
        socket.off('readable', spoke)
        socket.off('end', lost)
        socket.off('close', lost)
      }
      socket.on('readable', spoke)
      socket.once('end', lost)
      socket.once('close', lost)
      pool.set(socket, { pooled, release })
      return true
    },
    take() {
      const youngest = [...pool.values()].at(-1)
      if (youngest === undefined) return undefined
      youngest.release()
      pool.delete(youngest.pooled.socket)
      return youngest.pooled
    },
    drop() {
      for (const { pooled, release } of pool.values()) {
        release()
        breakOff(pooled.socket)
      }
      pool.clear()
    },
  }
}
