import type { IncomingMessage, Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'

/** From the connection to the first whole request, in milliseconds. */
const FIRST_REQUEST_MS = 10_000

/** Hands a connection of the front to the web server. */
export type WebDoor = (socket: Socket, release: () => void) => void

/**
 * The way from the one port to Fastify's server. A connection keeps its slot until its first request is there: whoever
 * stalls in TLS or in the header takes only slots of its own source, and not for long.
 */
export function createWebDoor(server: Server | SecureServer, firstRequestMs: number = FIRST_REQUEST_MS): WebDoor {
  const waiting = new Map<string, () => void>()
  // of the first request on a connection; later ones find nothing
  const requested = ({ socket }: IncomingMessage): void => waiting.get(keyOf(socket))?.()
  server.on('request', requested)
  server.prependListener('upgrade', requested)
  return (socket, release) => {
    const key = keyOf(socket)
    const late = setTimeout(() => socket.destroy(), firstRequestMs)
    const settle = (): void => {
      clearTimeout(late)
      waiting.delete(key)
      release()
    }
    waiting.set(key, settle)
    socket.once('close', settle)
    server.emit('connection', socket)
  }
}

/** The same for the raw socket and for the TLS on it. */
function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
