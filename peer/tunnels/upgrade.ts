import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { EXPORTER_LABEL, NONCE_BYTES, type RelayAddress, TUNNEL_PATH, TUNNEL_UPGRADE } from '@ropewalk/shared/tunnel'

/** A connection to a relay that has left HTTP. */
export interface Upgraded {
  readonly socket: Duplex
  /** Bytes that came right behind the 101. */
  readonly head: Uint8Array
  /** Ties what is signed on it to this very connection. */
  readonly exporter: Uint8Array
}

/**
 * Dials a relay's public port and upgrades to a control stream. The relay's certificate is not looked at: its node key
 * is proven on the stream itself. @throws RopewalkError `unreachable`, `timeout`, or what the relay answered
 */
export function upgrade(relay: RelayAddress, signal: AbortSignal): Promise<Upgraded> {
  const options = {
    host: relay.host,
    port: relay.port,
    path: TUNNEL_PATH,
    agent: false,
    maxHeaderSize: 4096,
    headers: { Connection: 'Upgrade', Upgrade: TUNNEL_UPGRADE },
    signal,
  }
  const tls = {
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['http/1.1'],
    ...(isIP(relay.host) === 0 ? { servername: relay.host } : {}),
  } as const
  return new Promise((resolve, reject) => {
    const request = relay.secure ? httpsRequest({ ...options, ...tls }) : httpRequest(options)
    request.on('socket', (socket) => socket.setNoDelay(true).setKeepAlive(true, 15_000))
    request.once('error', (error) => reject(reasonOf(error, signal)))
    request.once('response', (response) => {
      reject(answered(response))
      response.destroy()
    })
    request.once('upgrade', (_response, socket, head) => {
      socket.on('error', () => undefined)
      socket.setTimeout(0)
      resolve({ socket, head, exporter: exporterOf(socket) })
    })
    request.end()
  })
}

/** The exporter value of a connection; zeros where there is no TLS, which only loopback is allowed. */
export function exporterOf(socket: Duplex): Uint8Array {
  if (!(socket instanceof TLSSocket)) return new Uint8Array(NONCE_BYTES)
  return new Uint8Array(socket.exportKeyingMaterial(NONCE_BYTES, EXPORTER_LABEL, Buffer.alloc(0)))
}

function reasonOf(error: unknown, signal: AbortSignal): RopewalkError {
  if (signal.aborted) return toRopewalkError(signal.reason)
  const known = toRopewalkError(error)
  return known.code === 'internal' || known.code === 'stream-reset'
    ? new RopewalkError('unreachable', `The relay does not answer: ${known.message}`, { cause: error })
    : known
}

function answered({ statusCode = 0 }: IncomingMessage): RopewalkError {
  if (statusCode === 426) return new RopewalkError('version-mismatch', 'The relay speaks another version of tunnels')
  if (statusCode === 429 || statusCode === 503) return new RopewalkError('rate-limited', 'The relay is too busy')
  return new RopewalkError('unreachable', `The relay answers HTTP ${statusCode} instead of a tunnel`)
}
