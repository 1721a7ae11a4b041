import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Stream } from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { type Decision, evaluate, type Party, type Target, type Wanted } from '@ropewalk/shared/policy'
import { encodeStreamMessage, objectionTo, TUNNEL_VERSION, type TunnelMember } from '@ropewalk/shared/tunnel'
import type { Place } from './allowance.ts'
import { breakOff } from './break-off.ts'
import { firstMessage } from './first-message.ts'
import { acceptInner, type InnerContext, type InnerTls } from './inner-tls.ts'
import { dialLoopback, dialSelf } from './loopback.ts'
import type { ProxiedDependencies } from './proxied.ts'
import { WorkerStream } from './worker-stream.ts'

/** From the first byte of the inner TLS to the visitor's request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000

/** What the agent decides with. */
export interface ReceptionDependencies extends ProxiedDependencies {
  readonly context: InnerContext
  /** Streams that end in this process, by what they ask for. Every member may; what answers decides further. */
  readonly inner: ReadonlyMap<string, InnerService>
  /** This node's mesh address. */
  readonly ownAddress: string
}

/** Answers streams inside this process. */
export type InnerService = (stream: Duplex, from: NodeId) => void

/** How a stream came here. */
export interface Arrival {
  readonly id: string
  readonly via: Stream['via']
  /** Told when the agent cuts a live stream: the relay between passes the reason on. */
  readonly onCut?: (reason: RopewalkError) => void
  readonly signal: AbortSignal
}

/** The agent's end of every stream, from a tunnel or from the mesh: it alone decides who gets in. */
export interface Reception {
  /** Takes a connection on which the visitor speaks first. Resolves when the stream is running or refused. */
  receive(raw: Socket, arrival: Arrival): Promise<void>
}

/** The reception of this node. */
export function createReception(dependencies: ReceptionDependencies): Reception {
  return new Receiving(dependencies)
}

interface Request {
  readonly member: TunnelMember
  readonly service: string
  readonly head: Uint8Array
  /** What the visitor showed: whom our store does not know is verified by it again. */
  readonly bundle: Uint8Array
}

class Receiving implements Reception {
  readonly #with: ReceptionDependencies

  constructor(dependencies: ReceptionDependencies) {
    this.#with = dependencies
  }

  async receive(raw: Socket, arrival: Arrival): Promise<void> {
    const { logger, allowance } = this.#with
    const place = allowance.take()
    if (place === undefined || raw.destroyed) {
      logger.warn('stream refused', { id: arrival.id, code: 'limit-reached', reason: 'too many at once' })
      place?.free()
      breakOff(raw)
      return
    }
    raw.once('close', () => place.free())
    try {
      const inner = await acceptInner(raw, this.#with.context, arrival.signal)
      try {
        await this.#admit(inner, arrival, place)
      } catch (error) {
        const reason = toRopewalkError(error)
        refuse(inner, reason)
        logger.warn('stream refused', {
          id: arrival.id,
          visitor: inner.nodeId,
          code: reason.code,
          reason: reason.message,
        })
      }
    } catch (error) {
      const reason = toRopewalkError(error)
      logger.warn('stream without proof', { id: arrival.id, code: reason.code, reason: reason.message })
    }
  }

  async #admit(inner: InnerTls, arrival: Arrival, place: Place): Promise<void> {
    const signal = AbortSignal.any([arrival.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)])
    const { member, service, head, bundle } = await this.#request(inner, signal)
    place.claim(member.nodeId)
    const inside = this.#with.inner.get(service)
    if (inside !== undefined) {
      inner.secured.send(encodeStreamMessage({ kind: 'accepted' }))
      return inside(new WorkerStream(inner, head).duplex(), member.nodeId)
    }
    const decision = this.#decide(member, service)
    if (!decision.allowed) throw new RopewalkError(decision.code, decision.reason)
    if (decision.target.protocol === 'udp') throw new RopewalkError('unsupported', 'UDP does not go by stream yet')
    const target = await this.#dial(decision.target, signal)
    if (inner.raw.destroyed) {
      breakOff(target)
      throw new RopewalkError('stream-reset')
    }
    inner.secured.send(encodeStreamMessage({ kind: 'accepted' }))
    this.#run(inner, target, { member, service, bundle, head, arrival })
  }

  async #request(inner: InnerTls, signal: AbortSignal): Promise<Request> {
    const { message, head } = await firstMessage(inner.secured, signal)
    if (message.kind !== 'request') throw new RopewalkError('protocol-error', 'A stream begins with its request')
    if (message.version !== TUNNEL_VERSION) throw new RopewalkError('version-mismatch')
    const { members } = this.#with
    // the store first: what it knows may be newer than what the visitor shows, a revocation above all
    const member = members.member(inner.nodeId) ?? (await members.accept(message.bundle))
    if (member.nodeId !== inner.nodeId) throw new RopewalkError('wrong-key', 'The certificate is of another node')
    if (member.revoked) throw new RopewalkError('revoked', `${member.name} is revoked`)
    return { member, service: message.service, head, bundle: message.bundle }
  }

  #decide(visitor: Party, service: string): Decision {
    const { services, policy, grants, self } = this.#with
    const wanted = parseWanted(service)
    return evaluate(policy(), { visitor, worker: self(), wanted, exposed: services.list(), grants: grants() })
  }

  #dial({ on, port }: Target, signal: AbortSignal): Promise<Socket> {
    return on === 'loopback' ? dialLoopback(port, signal) : dialSelf(this.#with.ownAddress, port, signal)
  }

  #run(inner: InnerTls, target: Socket, about: Request & { arrival: Arrival }): void {
    const { member, service, bundle, head, arrival } = about
    const { live, members, logger, self } = this.#with
    const openedAt = Date.now()
    const stream = new WorkerStream(inner, head)
    const describe = (): Stream => ({
      id: arrival.id,
      role: 'agent',
      via: arrival.via,
      visitor: member.name,
      agent: self().name,
      service,
      openedAt,
      txBytes: stream.receivedBytes,
      rxBytes: stream.sentBytes,
    })
    const ended = live.add({
      describe,
      verdict: async () => {
        const objection = await objectionTo(members, { nodeId: member.nodeId, bundle })
        if (objection !== undefined) return objection
        const decision = this.#decide(members.member(member.nodeId) ?? member, service)
        return decision.allowed ? undefined : new RopewalkError(decision.code, decision.reason)
      },
      cut: (reason) => {
        logger.info('stream cut', { id: arrival.id, visitor: member.name, service, code: reason.code })
        arrival.onCut?.(reason)
        stream.destroy(reason)
      },
    })
    const stop = (): void => stream.destroy()
    arrival.signal.addEventListener('abort', stop, { once: true })
    logger.info('stream opened', { id: arrival.id, visitor: member.name, service, via: arrival.via })
    stream.join(target)
    void stream.closed.then(() => {
      arrival.signal.removeEventListener('abort', stop)
      ended()
      const { txBytes, rxBytes } = describe()
      logger.info('stream closed', { id: arrival.id, visitor: member.name, service, txBytes, rxBytes })
    })
  }
}

/** A service as a request names it: `jupyter`, `8888`, `5353/udp`. */
export function parseWanted(service: string): Wanted {
  const port = /^(\d{1,5})(?:\/(tcp|udp))?$/.exec(service)
  if (port === null) return { service }
  return { protocol: port[2] === 'udp' ? 'udp' : 'tcp', port: Number(port[1]) }
}

function refuse({ secured, raw }: InnerTls, reason: RopewalkError): void {
  if (raw.destroyed) return
  // a bug tells the outside nothing
  const message = reason.code === 'internal' ? '' : reason.message.slice(0, 100)
  secured.part(encodeStreamMessage({ kind: 'refused', code: reason.code, message }))
  const limit = setTimeout(() => breakOff(raw), 2000).unref()
  raw.once('close', () => clearTimeout(limit))
}
