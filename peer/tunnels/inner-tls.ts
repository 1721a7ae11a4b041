import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type NodeId, nodeIdOf } from '@ropewalk/shared/identity'
import type { Identity, Secured, SpliceEnd, Splicer } from 'node-wireguard'
import { breakOff } from './break-off.ts'

/** How long the TLS between visitor and agent may take to agree. */
export const INNER_TIMEOUT_MS = 10_000

/** What the inner TLS is spoken with. */
export interface InnerContext {
  readonly splicer: Splicer
  readonly identity: Identity
}

/** A TLS connection between two peers, the other's key proven. */
export interface InnerTls {
  readonly secured: Secured
  /** What it runs over; it is destroyed when the TLS is closed, and destroying it breaks the TLS off. */
  readonly raw: Socket
  /** The node whose key the other end holds. Whether it may be here is not yet asked. */
  readonly nodeId: NodeId
}

/** The agent's side. @throws RopewalkError `proof-failed`, `timeout`, `aborted` or `stream-reset`; `raw` is then gone */
export function acceptInner(raw: Socket, context: InnerContext, signal: AbortSignal): Promise<InnerTls> {
  return agree(raw, 'server', context, signal)
}

/** The visitor's side. @throws as {@link acceptInner}, and `wrong-key` when another node answers than `expected` */
export async function dialInner(
  raw: Socket,
  options: { readonly context: InnerContext; readonly expected: NodeId; readonly signal: AbortSignal },
): Promise<InnerTls> {
  const inner = await agree(raw, 'client', options.context, options.signal)
  if (inner.nodeId === options.expected) return inner
  breakOff(raw)
  throw new RopewalkError('wrong-key', 'Somebody else answered in the worker’s place')
}

async function agree(
  raw: Socket,
  side: 'client' | 'server',
  { splicer, identity }: InnerContext,
  signal: AbortSignal,
): Promise<InnerTls> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(INNER_TIMEOUT_MS)])
  const aborted = (): void => breakOff(raw)
  try {
    if (limit.aborted) throw toRopewalkError(limit.reason)
    const secured = splicer.secure(raw, side, identity)
    limit.addEventListener('abort', aborted, { once: true })
    void secured.closed.then(({ fault }) => (fault === undefined ? raw.destroy() : breakOff(raw)))
    const certificate = await secured.certificate
    if (limit.aborted) throw toRopewalkError(limit.reason)
    if (certificate === undefined) throw disagreement(await secured.closed)
    return { secured, raw, nodeId: nodeOf(certificate) }
  } catch (error) {
    breakOff(raw)
    throw error
  } finally {
    limit.removeEventListener('abort', aborted)
  }
}

/** The reason why a stream is over that has not come to its own end. */
export function reasonOf({ fault, message }: SpliceEnd): RopewalkError {
  if (fault === 'malformed') return new RopewalkError('protocol-error', message)
  if (fault === 'cut') return new RopewalkError('aborted')
  if (fault === 'failed') return new RopewalkError('internal', message)
  return new RopewalkError('stream-reset', message)
}

function disagreement(end: SpliceEnd): RopewalkError {
  return end.fault === 'tls' ? new RopewalkError('proof-failed', end.message) : reasonOf(end)
}

function nodeOf(certificate: Uint8Array): NodeId {
  const key = publicKeyOf(certificate)
  if (key?.asymmetricKeyType !== 'ed25519') throw new RopewalkError('proof-failed', 'The other end showed no node key')
  return nodeIdOf(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'))
}

function publicKeyOf(certificate: Uint8Array): X509Certificate['publicKey'] | undefined {
  try {
    return new X509Certificate(certificate).publicKey
  } catch {
    return undefined
  }
}
