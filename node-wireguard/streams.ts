import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import type { NativeStream } from './native.ts'

/** Resets that came before their stream are remembered, so many at most. */
const EARLY_RESETS = 1_024

/** Makes `net.Socket`s of the engine's streams, and carries to them what a descriptor cannot: resets. */
export class Streams {
  readonly #open = new Map<number, Socket>()
  readonly #early = new Set<number>()
  #closed = false
  readonly #reset: ((stream: number) => void) | undefined

  /** `reset` sends a TCP reset for a stream whose descriptor is no TCP socket; absent where all are. */
  constructor(reset: ((stream: number) => void) | undefined) {
    this.#reset = reset
  }

  adopt(stream: NativeStream): Socket {
    const socket = socketOf(stream)
    const { id, local, remote } = stream
    define(socket, 'localAddress', local.address)
    define(socket, 'localPort', local.port)
    define(socket, 'remoteAddress', remote.address)
    define(socket, 'remotePort', remote.port)
    define(socket, 'remoteFamily', remote.address.includes(':') ? 'IPv6' : 'IPv4')
    const reset = this.#reset
    if (reset !== undefined) {
      define(socket, 'resetAndDestroy', () => {
        if (!socket.destroyed) reset(id)
        return socket.destroy()
      })
    }
    this.#open.set(id, socket)
    socket.once('close', () => this.#open.delete(id))
    if (this.#closed) socket.destroy()
    else if (this.#early.delete(id)) queueMicrotask(() => socket.destroy(connectionReset()))
    return socket
  }

  /** The other end has reset this stream. */
  onReset(id: number): void {
    if (this.#closed) return
    const socket = this.#open.get(id)
    if (socket !== undefined) socket.destroy(connectionReset())
    else if (this.#early.size < EARLY_RESETS) this.#early.add(id)
  }

  /** The device closes, and all that goes through it ends: no error of theirs. */
  close(): void {
    this.#closed = true
    for (const socket of this.#open.values()) socket.destroy()
  }
}

function socketOf(stream: NativeStream): Socket {
  try {
    return new Socket({ fd: stream.fd, readable: true, writable: true, allowHalfOpen: true })
  } catch (error) {
    closeSync(stream.fd)
    throw error
  }
}

/** A socketpair knows no addresses, and a socket of another namespace need not be asked for them. */
function define(socket: Socket, name: string, value: unknown): void {
  Object.defineProperty(socket, name, { value, configurable: true })
}

function connectionReset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104, syscall: 'read' })
}
