import type { Socket } from 'node:net'
import { errorFromWire, RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { encodeStreamMessage, type RelayAddress, TUNNEL_VERSION, type TunnelMembers } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'
import { firstMessage } from './first-message.ts'
import { dialInner, type InnerContext } from './inner-tls.ts'
import { WorkerStream } from './worker-stream.ts'

/** What a request is made with. */
export interface RequestOptions {
  readonly context: InnerContext
  readonly members: TunnelMembers
  /** The worker, as this node's own store knows it. */
  readonly expected: NodeId
  readonly service: string
  readonly signal: AbortSignal
}

/** A stream to a worker's service. */
export interface VisitorStream {
  readonly stream: WorkerStream
  readonly id: string
  readonly via: 'mesh' | 'tunnel'
  readonly relay?: RelayAddress
}

/**
 * Speaks the visitor's part on a fresh connection to a worker: inner TLS, request, answer.
 * @throws RopewalkError the worker's refusal, `wrong-key`, `proof-failed`, `timeout`; `raw` is then gone
 */
export async function requestStream(raw: Socket, options: RequestOptions): Promise<{ stream: WorkerStream }> {
  const inner = await dialInner(raw, options)
  try {
    const { members, expected, service, signal } = options
    const member = members.member(expected)
    if (member === undefined || member.revoked) throw new RopewalkError('revoked', 'The worker is a member no more')
    inner.secured.send(
      encodeStreamMessage({ kind: 'request', version: TUNNEL_VERSION, service, bundle: members.bundle() }),
    )
    const { message, head } = await firstMessage(inner.secured, signal)
    if (message.kind === 'refused') throw errorFromWire(message.code, message.message)
    if (message.kind !== 'accepted') throw new RopewalkError('protocol-error')
    return { stream: new WorkerStream(inner, head) }
  } catch (error) {
    breakOff(raw)
    throw error
  }
}
