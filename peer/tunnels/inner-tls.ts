import type { Socket } from 'node:net'
import { connect, type SecureContext, TLSSocket } from 'node:tls'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type NodeId, nodeIdOf } from '@ropewalk/shared/identity'
import { STREAM_ALPN } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'

/** How long the TLS between visitor and agent may take to agree. */
export const INNER_TIMEOUT_MS = 10_000

/** A TLS connection between two peers, the other's key proven. */
export interface InnerTls {
  readonly tls: TLSSocket
  /** What `tls` runs over; a reset goes here, since TLS has none. */
  readonly raw: Socket
  /** The node whose key the other end holds. Whether it may be here is not yet asked. */
  readonly nodeId: NodeId
}

/** The agent's side. @throws RopewalkError `proof-failed`, `timeout`, `aborted` or `stream-reset`; `raw` is then gone */
export function acceptInner(raw: Socket, context: SecureContext, signal: AbortSignal): Promise<InnerTls> {
  const tls = new TLSSocket(raw, {
    isServer: true,
    secureContext: context,
    requestCert: true,
    // there is no authority: the key itself is compared
    rejectUnauthorized: false,
    ALPNProtocols: [STREAM_ALPN],
  })
  return settle(raw, tls, 'secure', signal)
}

/** The visitor's side. @throws as {@link acceptInner}, and `wrong-key` when another node answers than `expected` */
export async function dialInner(
  raw: Socket,
  options: { readonly context: SecureContext; readonly expected: NodeId; readonly signal: AbortSignal },
): Promise<InnerTls> {
  const tls = connect({
    socket: raw,
    secureContext: options.context,
    rejectUnauthorized: false,
    ALPNProtocols: [STREAM_ALPN],
  })
  const inner = await settle(raw, tls, 'secureConnect', options.signal)
  if (inner.nodeId === options.expected) return inner
  breakOff(raw)
  throw new RopewalkError('wrong-key', 'Somebody else answered in the worker’s place')
}

function settle(
  raw: Socket,
  tls: TLSSocket,
  event: 'secure' | 'secureConnect',
  signal: AbortSignal,
): Promise<InnerTls> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(INNER_TIMEOUT_MS)])
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      limit.removeEventListener('abort', aborted)
      breakOff(raw)
      const known = toRopewalkError(error)
      reject(known.code === 'internal' ? new RopewalkError('proof-failed', known.message, { cause: error }) : known)
    }
    const aborted = (): void => fail(limit.reason)
    const closed = (): void => fail(new RopewalkError('stream-reset'))
    tls.on('error', fail)
    tls.once('close', closed)
    tls.once(event, () => {
      try {
        const nodeId = provenNode(tls)
        limit.removeEventListener('abort', aborted)
        tls.off('error', fail)
        tls.off('close', closed)
        resolve({ tls, raw, nodeId })
      } catch (error) {
        fail(error)
      }
    })
    if (limit.aborted) aborted()
    else limit.addEventListener('abort', aborted, { once: true })
  })
}

function provenNode(tls: TLSSocket): NodeId {
  if (tls.alpnProtocol !== STREAM_ALPN) throw new RopewalkError('version-mismatch', 'The other end speaks no streams')
  // a resumed session would vouch for a key that was not proven now
  if (tls.isSessionReused()) throw new RopewalkError('proof-failed', 'A resumed TLS session is no proof')
  const key = tls.getPeerX509Certificate()?.publicKey
  if (key?.asymmetricKeyType !== 'ed25519') throw new RopewalkError('proof-failed', 'The other end showed no node key')
  return nodeIdOf(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'))
}
