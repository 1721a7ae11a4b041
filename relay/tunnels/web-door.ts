import type { IncomingMessage, Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Sources } from './sources.ts'

/** From the connection to the first whole request, in milliseconds. */
const FIRST_REQUEST_MS = 10_000

/** Hands a connection of the front to the web server. */
export type WebDoor = (socket: Socket, release: () => void) => void

/** How many there may be, and how slow. */
export interface WebDoorOptions {
  /** Places of connections that have asked something, until they close; without, there is no limit. */
  readonly connections?: Sources
  readonly firstRequestMs?: number
}

/**
 * The way from the one port to Fastify's server. A connection keeps its slot until its first request is there: whoever
 * stalls in TLS or in the header takes only slots of its own source, and not for long. After that it holds one of the
 * places for HTTP, so that idle connections are counted too; an upgraded one leaves HTTP, and whom it goes to counts it.
 */
export function createWebDoor(server: Server | SecureServer, options: WebDoorOptions = {}): WebDoor {
  const { connections, firstRequestMs = FIRST_REQUEST_MS } = options
  const waiting = new Map<string, { readonly socket: Socket; readonly settle: () => void }>()
  // of the first request on a connection; later ones find nothing
  const requested = (request: IncomingMessage): void => {
    const first = waiting.get(keyOf(request.socket))
    if (first === undefined) return
    first.settle()
    if (request.headers.upgrade !== undefined || connections === undefined) return
    const free = connections.take(first.socket.remoteAddress)
    if (free === undefined) first.socket.destroy()
    else first.socket.once('close', free)
  }
  server.prependListener('request', requested)
  server.prependListener('upgrade', requested)
  return (socket, release) => {
    const key = keyOf(socket)
    const late = setTimeout(() => socket.destroy(), firstRequestMs)
    const settle = (): void => {
      clearTimeout(late)
      waiting.delete(key)
      release()
    }
    waiting.set(key, { socket, settle })
    socket.once('close', settle)
    server.emit('connection', socket)
  }
}

/** The same for the raw socket and for the TLS on it. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
