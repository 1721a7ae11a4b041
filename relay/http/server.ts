import { createServer as createHttp, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { TUNNEL_PATH } from '@ropewalk/shared/tunnel'

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
 * Only the tunnels' path is upgraded; an upgrade asked for elsewhere is answered as if it had not been.
 */
export function createWebServer(tls: Tls, handler: RequestListener): Server {
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_EVERY_MS,
    noDelay: true,
    shouldUpgradeCallback: (request: IncomingMessage) => request.url === TUNNEL_PATH,
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
