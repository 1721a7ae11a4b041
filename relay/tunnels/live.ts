import type { Stream } from '@ropewalk/shared/api'
import { isErrorCode, RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { GO } from '@ropewalk/shared/tunnel'
import type { SpliceBytes } from 'node-wireguard'
import type { TunnelEvent } from './events.ts'
import type { Joiner, Joint } from './joint.ts'
import { keyOf, type Pair } from './pairing.ts'
import type { Session } from './session.ts'

/** The streams that run through the relay. */
export interface LiveStreams {
  readonly size: number
  /** Says GO to both and joins them. */
  join(pair: Pair): void
  /** How many a member has as this end. */
  countOf(nodeId: NodeId, end: End): number
  list(): Stream[]
  /** The sessions that streams were opened on; their control stream may be gone. */
  sessions(): Set<Session>
  /** @throws RopewalkError `not-found` */
  end(id: string): void
  /** One end broke its stream off and says why; the other is told. */
  reset(session: Session, stream: Uint8Array, why: { readonly code: string; readonly message: string }): void
  /** Breaks off every stream with an end for which this holds. */
  cutWhere(test: (nodeId: NodeId) => boolean, reason: RopewalkError): void
}

/** Which end of a stream. */
export type End = 'agent' | 'visitor'

/** No streams. */
export function createLiveStreams(joiner: Joiner, onEvent: (event: TunnelEvent) => void): LiveStreams {
  return new Streams(joiner, onEvent)
}

interface Live extends Pair {
  readonly id: string
  readonly openedAt: number
  readonly joint: Joint
}

class Streams implements LiveStreams {
  readonly #join: Joiner
  readonly #onEvent: (event: TunnelEvent) => void
  readonly #live = new Map<string, Live>()
  /** The agents' own ids of the same streams. */
  readonly #byAgent = new Map<string, string>()
  readonly #counts = { agent: new Map<NodeId, number>(), visitor: new Map<NodeId, number>() }
  readonly #reasons = new Map<string, RopewalkError>()

  constructor(joiner: Joiner, onEvent: (event: TunnelEvent) => void) {
    this.#join = joiner
    this.#onEvent = onEvent
  }

  get size(): number {
    return this.#live.size
  }

  countOf(nodeId: NodeId, end: End): number {
    return this.#counts[end].get(nodeId) ?? 0
  }

  join(pair: Pair): void {
    const id = keyOf(pair.visit.stream)
    const openedAt = Date.now()
    const joint = this.#join({
      a: pair.visit.socket,
      b: pair.answer.socket,
      greeting: Uint8Array.of(GO),
      closed: (bytes) => this.#closed(live, bytes),
    })
    const live: Live = { ...pair, id, openedAt, joint }
    this.#live.set(id, live)
    this.#byAgent.set(keyOf(pair.answer.stream), id)
    this.#count(live, 1)
    this.#onEvent({ event: 'stream-open', id, ...namesOf(live), waitedMs: pair.waitedMs })
  }

  list(): Stream[] {
    return [...this.#live.values()].map(({ id, visitor, agent, openedAt, joint }) => ({
      id,
      role: 'relay',
      via: 'tunnel',
      visitor: visitor.member.name,
      agent: agent.member.name,
      openedAt,
      txBytes: joint.bytes.forth,
      rxBytes: joint.bytes.back,
    }))
  }

  sessions(): Set<Session> {
    return new Set([...this.#live.values()].flatMap(({ visitor, agent }) => [visitor, agent]))
  }

  end(id: string): void {
    const live = this.#live.get(id)
    if (live === undefined) throw new RopewalkError('not-found', `There is no stream ${id.slice(0, 40)}`)
    this.#cut(live, new RopewalkError('aborted', 'The stream was ended at the relay'))
  }

  reset(
    session: Session,
    stream: Uint8Array,
    { code, message }: { readonly code: string; readonly message: string },
  ): void {
    const key = keyOf(stream)
    const live = this.#live.get(session.role === 'visitor' ? key : (this.#byAgent.get(key) ?? ''))
    // an id of another's stream is nobody's business
    if (live === undefined || live[session.role].member.nodeId !== session.member.nodeId) return
    this.#cut(live, new RopewalkError(isErrorCode(code) ? code : 'stream-reset', message))
  }

  cutWhere(test: (nodeId: NodeId) => boolean, reason: RopewalkError): void {
    for (const live of this.#live.values()) {
      if (test(live.visitor.member.nodeId) || test(live.agent.member.nodeId)) this.#cut(live, reason)
    }
  }

  #cut(live: Live, reason: RopewalkError): void {
    this.#reasons.set(live.id, reason)
    const about = { code: reason.code, message: reason.message.slice(0, 100) }
    live.visitor.channel.send({ kind: 'reset', stream: live.visit.stream, ...about })
    live.agent.channel.send({ kind: 'reset', stream: live.answer.stream, ...about })
    live.joint.cut()
  }

  #closed(live: Live, { forth, back }: SpliceBytes): void {
    const code = this.#reasons.get(live.id)?.code
    this.#reasons.delete(live.id)
    this.#live.delete(live.id)
    this.#byAgent.delete(keyOf(live.answer.stream))
    this.#count(live, -1)
    const durationMs = Date.now() - live.openedAt
    const told = code === undefined ? {} : { code }
    this.#onEvent({
      event: 'stream-close',
      id: live.id,
      ...namesOf(live),
      txBytes: forth,
      rxBytes: back,
      durationMs,
      ...told,
    })
  }

  #count(live: Live, change: 1 | -1): void {
    for (const end of ['agent', 'visitor'] as const) {
      const { nodeId } = live[end].member
      const count = this.countOf(nodeId, end) + change
      if (count === 0) this.#counts[end].delete(nodeId)
      else this.#counts[end].set(nodeId, count)
    }
  }
}

function namesOf({ visitor, agent }: Live): { actor: string; subject: string } {
  return { actor: visitor.member.name, subject: agent.member.name }
}
