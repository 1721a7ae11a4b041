import type { Socket } from 'node:net'
import { breakOff } from '@ropewalk/peer/tunnels'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Pooled, Session } from './session.ts'

/** How long the two halves of an open, and an agent's answer to a call, may take, in milliseconds. */
const PAIR_TIMEOUT_MS = 5000
/** Most visits of one visitor that wait for their other half. */
const MAX_WAITING_EACH = 256

/** A visitor's connection and an agent's that belong together. */
export interface Pair {
  readonly visitor: Session
  readonly agent: Session
  readonly visit: Pooled
  readonly answer: Pooled
  /** From the visitor's first word until the agent was there. */
  readonly waitedMs: number
}

/** What pairing asks of the relay around it. */
export interface PairingDependencies {
  readonly agentOf: (nodeId: NodeId) => Session | undefined
  /** Why this visitor may not have a stream to this agent now. */
  readonly objection: (visitor: Session, agent: Session) => RopewalkError | undefined
  readonly paired: (pair: Pair) => void
  readonly refused: (visitor: Session, stream: Uint8Array, socket: Socket | undefined, reason: RopewalkError) => void
}

/** Brings visitors' connections together with agents'. The two halves of a visit come in any order. */
export interface Pairing {
  /** The visitor said on its control stream whom it wants. */
  opened(visitor: Session, stream: Uint8Array, peer: NodeId): void
  /** The visitor's data connection is there. */
  visited(visitor: Session, visit: Pooled): void
  /** The agent's answer to a call is there. @throws RopewalkError `aborted` when nobody waits for it any more */
  answered(agent: Session, answer: Pooled): void
  /** The agent brings no connection for a call. */
  declined(agent: Session, stream: Uint8Array, reason: RopewalkError): void
  /** The visitor wants it no more. */
  cancelled(visitor: Session, stream: Uint8Array): void
  /** A control stream has ended: what waited for it is refused. */
  left(session: Session, reason: RopewalkError): void
  readonly waiting: number
}

/** Nobody waits. */
export function createPairing(dependencies: PairingDependencies): Pairing {
  return new Pairs(dependencies)
}

interface Visit {
  readonly visitor: Session
  readonly stream: Uint8Array
  readonly since: number
  readonly timer: NodeJS.Timeout
  peer?: NodeId
  visit?: Pooled
  call?: { readonly agent: Session; readonly stream: Uint8Array }
  unwatch?: () => void
}

class Pairs implements Pairing {
  readonly #with: PairingDependencies
  readonly #visits = new Map<string, Visit>()
  readonly #calls = new Map<string, Visit>()
  readonly #waiting = new Map<Session, number>()

  constructor(dependencies: PairingDependencies) {
    this.#with = dependencies
  }

  get waiting(): number {
    return this.#visits.size
  }

  opened(visitor: Session, stream: Uint8Array, peer: NodeId): void {
    const visit = this.#visitOf(visitor, stream)
    if (visit === undefined) this.#with.refused(visitor, stream, undefined, new RopewalkError('limit-reached'))
    if (visit === undefined || visit.peer !== undefined) return
    visit.peer = peer
    this.#proceed(visit)
  }

  visited(visitor: Session, pooled: Pooled): void {
    const visit = this.#visitOf(visitor, pooled.stream)
    if (visit === undefined || visit.visit !== undefined) {
      this.#with.refused(visitor, pooled.stream, pooled.socket, new RopewalkError('limit-reached'))
      return
    }
    visit.visit = pooled
    const gone = (): void => this.#fail(visit, new RopewalkError('aborted', 'The visitor hung up'))
    pooled.socket.once('close', gone)
    visit.unwatch = () => pooled.socket.off('close', gone)
    this.#proceed(visit)
  }

  answered(agent: Session, answer: Pooled): void {
    const visit = this.#calls.get(keyOf(answer.stream))
    if (visit?.call?.agent !== agent || visit.visit === undefined) {
      throw new RopewalkError('aborted', 'Nobody waits for that connection any more')
    }
    this.#pair(visit, visit.visit, agent, answer)
  }

  declined(agent: Session, stream: Uint8Array, reason: RopewalkError): void {
    const visit = this.#calls.get(keyOf(stream))
    if (visit?.call?.agent === agent) this.#fail(visit, reason)
  }

  cancelled(visitor: Session, stream: Uint8Array): void {
    const visit = this.#visits.get(keyOf(stream))
    if (visit?.visitor === visitor) this.#fail(visit, new RopewalkError('aborted', 'The visitor gave up'))
  }

  left(session: Session, reason: RopewalkError): void {
    for (const visit of this.#visits.values()) {
      if (visit.visitor === session) this.#fail(visit, reason)
      else if (visit.call?.agent === session) this.#fail(visit, new RopewalkError('no-agent', 'The worker left'))
    }
  }

  #visitOf(visitor: Session, stream: Uint8Array): Visit | undefined {
    const key = keyOf(stream)
    const known = this.#visits.get(key)
    if (known !== undefined) return known.visitor === visitor ? known : undefined
    const waiting = this.#waiting.get(visitor) ?? 0
    const isOwn = Buffer.compare(stream.subarray(0, visitor.session.length), visitor.session) === 0
    if (!isOwn || waiting >= MAX_WAITING_EACH) return undefined
    this.#waiting.set(visitor, waiting + 1)
    const timer = setTimeout(
      () => this.#fail(visit, new RopewalkError('timeout', 'The worker brought no connection')),
      PAIR_TIMEOUT_MS,
    )
    const visit: Visit = { visitor, stream, since: performance.now(), timer }
    this.#visits.set(key, visit)
    return visit
  }

  /** Refuses as soon as it can, pairs when both halves are there. */
  #proceed(visit: Visit): void {
    if (visit.peer === undefined) return
    const agent = this.#with.agentOf(visit.peer)
    if (agent === undefined) {
      this.#fail(visit, new RopewalkError('no-agent', 'The worker holds no tunnel to this relay'))
      return
    }
    const objection = this.#with.objection(visit.visitor, agent)
    if (objection !== undefined) {
      this.#fail(visit, objection)
      return
    }
    if (visit.visit === undefined) return
    const answer = agent.take()
    if (answer !== undefined) {
      this.#pair(visit, visit.visit, agent, answer)
      return
    }
    const stream = agent.nextCall()
    visit.call = { agent, stream }
    this.#calls.set(keyOf(stream), visit)
    agent.channel.send({ kind: 'open', stream })
  }

  #pair(visit: Visit, pooled: Pooled, agent: Session, answer: Pooled): void {
    this.#forget(visit)
    this.#with.paired({
      visitor: visit.visitor,
      agent,
      visit: pooled,
      answer,
      waitedMs: performance.now() - visit.since,
    })
  }

  #fail(visit: Visit, reason: RopewalkError): void {
    this.#forget(visit)
    if (visit.call !== undefined) visit.call.agent.channel.send({ kind: 'cancel', stream: visit.call.stream })
    this.#with.refused(visit.visitor, visit.stream, visit.visit?.socket, reason)
  }

  #forget(visit: Visit): void {
    clearTimeout(visit.timer)
    visit.unwatch?.()
    if (this.#visits.delete(keyOf(visit.stream))) {
      const left = (this.#waiting.get(visit.visitor) ?? 1) - 1
      if (left === 0) this.#waiting.delete(visit.visitor)
      else this.#waiting.set(visit.visitor, left)
    }
    if (visit.call !== undefined) this.#calls.delete(keyOf(visit.call.stream))
  }
}

/** A stream id as a map key and as people see it. */
export function keyOf(stream: Uint8Array): string {
  return Buffer.from(stream).toString('hex')
}

/** Says no on a data connection, with the reason's byte, and ends it. */
export function sayNo(socket: Socket, answer: Uint8Array): void {
  if (socket.destroyed) return
  socket.end(answer)
  socket.resume()
  const limit = setTimeout(() => breakOff(socket), 1000).unref()
  socket.once('close', () => clearTimeout(limit))
}
