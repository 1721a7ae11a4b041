import { createServer as createHttp, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { Socket } from 'node:net'
import { TUNNEL_UPGRADE } from '@ropewalk/shared/tunnel'

/** What the public port is secured with: `none` is for loopback only, which the command line enforces. */
export type Tls =
  | { readonly kind: 'certificate'; readonly cert: string | Buffer; readonly key: string | Buffer }
  | { readonly kind: 'none' }

const HANDSHAKE_TIMEOUT_MS = 10_000
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 60_000
const CHECK_EVERY_MS = 1_000
const MAX_HEADER_BYTES = 8_192

/**
 * The HTTP server behind the one public port. It listens nowhere: connections are given to it by `emit('connection')`.
 * Only tunnels are upgraded; whatever else asks for an upgrade is answered as if it had not.
 */
export function createWebServer(tls: Tls, handler: RequestListener): Server {
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_EVERY_MS,
    noDelay: true,
    shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === TUNNEL_UPGRADE,
  }
  const server =
    tls.kind === 'none'
      ? createHttp(options, handler)
      : createHttps(
          {
            ...options,
            cert: tls.cert,
            key: tls.key,
            minVersion: 'TLSv1.3',
            ALPNProtocols: ['http/1.1'],
            handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
          },
          handler,
        )
  return server
}

/** A server that is given its connections never says `listening`, upon which Node starts to watch their timeouts. */
export function watchTimeouts(server: Server): void {
  server.emit('listening')
}

/** Hands connections to a server and gives each one's slot back when it has sent a whole request head. */
export function acceptInto(server: Server): (socket: Socket, release: () => void) => void {
  const slots = new Map<string, () => void>()
  const heard = ({ socket }: IncomingMessage) => slots.get(keyOf(socket))?.()
  server.on('request', heard)
  server.on('upgrade', heard)
  return (socket, release) => {
    const key = keyOf(socket)
    const settle = () => {
      slots.delete(key)
      release()
    }
    slots.set(key, settle)
    socket.once('close', settle)
    server.emit('connection', socket)
  }
}

/** A TLS socket shows the address of the connection below it; both ends' ports make it one of a kind. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
