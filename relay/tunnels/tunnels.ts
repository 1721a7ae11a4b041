import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createReviewer, errorOf, type Heartbeat } from '@ropewalk/peer/tunnels'
import type { Agent, Stream } from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import {
  type ControlMessage,
  type DataKind,
  decodeHello,
  helloIsBy,
  NO,
  objectionTo,
  partsOf,
  refusalByte,
  type TunnelMembers,
} from '@ropewalk/shared/tunnel'
import { Splicer } from 'node-wireguard'
import type { TunnelEvent } from './events.ts'
import { createGate, type Gate } from './gate.ts'
import { type Joiner, type Joint, type JointOptions, joinBy } from './joint.ts'
import { createLiveStreams, type LiveStreams } from './live.ts'
import { createNoiseLimit } from './noise.ts'
import { createPairing, type Pairing, sayNo } from './pairing.ts'
import { readHello } from './read-hello.ts'
import type { Pooled, Session } from './session.ts'
import type { Sources } from './sources.ts'

/** Most control streams of one member in one role: its own, and those that have died without a word. */
const MAX_CONTROLS_EACH = 16

/** Limits of a relay's tunnels; every one has a default. */
export interface TunnelsOptions {
  /** Streams of one agent, and of one visitor, at once; 1,000 unless said. */
  readonly maxStreamsEach?: number
  /** From the first byte to the proof, and for a data connection's hello, in milliseconds; 5,000 unless said. */
  readonly proofTimeoutMs?: number
  /** Control streams without TLS, from loopback only. */
  readonly insecureLoopback?: boolean
  readonly heartbeat?: Heartbeat
}

/** What the tunnels need of the relay. */
export interface TunnelsDependencies {
  readonly key: SigningKey
  readonly members: TunnelMembers
  readonly sources: Sources
  readonly logger: Logger
  /** For the audit log and the metrics. */
  readonly onEvent?: (event: TunnelEvent) => void
  readonly joiner?: Joiner
}

/** What there is now. */
export interface TunnelCounts {
  readonly agents: number
  readonly visitors: number
  readonly pooled: number
  readonly streams: number
  /** Visitors whose agent is not there yet. */
  readonly waiting: number
}

/** The relay between agents and visitors: it joins them and sees ciphertext only. */
export interface RelayTunnels extends Startable {
  /** Takes a control stream's upgrade; false when the request is for something else and the socket untouched. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
  /** Takes a data connection from the front. */
  data(socket: Socket, release: () => void): void
  agents(): Agent[]
  streams(): Stream[]
  /** Ends a live stream. @throws RopewalkError `not-found` */
  end(id: string): void
  /** Tells all agents and visitors to go elsewhere; what runs goes on. */
  drain(): void
  counts(): TunnelCounts
}

/** The tunnels of a relay. */
export function createRelayTunnels(options: TunnelsOptions, dependencies: TunnelsDependencies): RelayTunnels {
  return new Hub(options, dependencies)
}

class Hub implements RelayTunnels {
  readonly #with: TunnelsDependencies
  readonly #maxStreams: number
  readonly #proofTimeoutMs: number
  readonly #sessions = new Map<string, Session>()
  readonly #agents = new Map<NodeId, Session>()
  readonly #gate: Gate
  readonly #live: LiveStreams
  readonly #pairing: Pairing
  readonly #noise = createNoiseLimit()
  readonly #undo: (() => void)[] = []
  readonly #life: Startable
  #splicer: Splicer | undefined
  #stopped = false

  constructor(options: TunnelsOptions, dependencies: TunnelsDependencies) {
    const { maxStreamsEach = 1000, proofTimeoutMs = 5000, insecureLoopback = false, heartbeat } = options
    this.#with = dependencies
    this.#maxStreams = maxStreamsEach
    this.#proofTimeoutMs = proofTimeoutMs
    this.#live = createLiveStreams(dependencies.joiner ?? ((options) => this.#join(options)), (event) =>
      this.#event(event),
    )
    this.#gate = createGate(
      { maxStreams: maxStreamsEach, proofTimeoutMs, insecureLoopback, heartbeat },
      {
        ...dependencies,
        entered: (session) => this.#enter(session),
        refused: (actor, reason) => this.#refused('control', actor, reason),
      },
    )
    this.#pairing = createPairing({
      agentOf: (nodeId) => this.#agents.get(nodeId),
      objection: (visitor, agent) => this.#objection(visitor, agent),
      paired: (pair) => this.#live.join(pair),
      refused: (visitor, stream, socket, reason) => this.#turnAway(visitor, stream, socket, reason),
    })
    this.#life = startable({ start: () => this.#start(), stop: () => this.#stop() })
  }

  start(): Promise<void> {
    return this.#life.start()
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#life.stop()
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    return this.#gate.upgrade(request, socket, head)
  }

  data(socket: Socket, release: () => void): void {
    void this.#greet(socket).finally(release)
  }

  agents(): Agent[] {
    return [...this.#agents.values()].map(({ member: { nodeId, name }, since, pooled }) => ({
      nodeId,
      name,
      since,
      pooled,
      streams: this.#live.countOf(nodeId, 'agent'),
    }))
  }

  streams(): Stream[] {
    return this.#live.list()
  }

  end(id: string): void {
    this.#live.end(id)
  }

  drain(): void {
    for (const { channel } of this.#sessions.values()) {
      channel.send({ kind: 'drain', code: 'draining', message: 'The relay is about to stop' })
    }
  }

  counts(): TunnelCounts {
    const sessions = [...this.#sessions.values()]
    return {
      agents: this.#agents.size,
      visitors: sessions.filter(({ role }) => role === 'visitor').length,
      pooled: sessions.reduce((sum, { pooled }) => sum + pooled, 0),
      streams: this.#live.size,
      waiting: this.#pairing.waiting,
    }
  }

  #start(): void {
    const reviewer = createReviewer(() => this.#review())
    this.#undo.push(this.#with.members.onChange(reviewer.soon), reviewer.stop)
  }

  async #stop(): Promise<void> {
    const reason = new RopewalkError('draining')
    this.#stopped = true
    for (const undo of this.#undo.splice(0)) undo()
    this.#gate.close()
    this.drain()
    this.#live.cutWhere(() => true, reason)
    const sessions = [...this.#sessions.values()]
    for (const { channel } of sessions) channel.close(reason)
    await Promise.all(sessions.map(({ channel }) => channel.closed))
    await this.#splicer?.close()
    this.#gate.destroy()
  }

  /** Its threads are started with the first stream. */
  #join(options: JointOptions): Joint {
    this.#splicer ??= new Splicer()
    return joinBy(this.#splicer, options)
  }

  #enter(session: Session): void {
    const key = Buffer.from(session.session).toString('hex')
    const { channel, role, member } = session
    this.#makeRoom(session)
    this.#sessions.set(key, session)
    channel.listen({ message: (message) => this.#told(session, message) })
    this.#event({ event: `${role}-up`, actor: member.name, nodeId: member.nodeId })
    void channel.closed.then((why) => {
      this.#sessions.delete(key)
      session.drop()
      this.#pairing.left(session, why)
      if (this.#agents.get(member.nodeId) === session) this.#agents.delete(member.nodeId)
      this.#event({ event: `${role}-down`, actor: member.name, nodeId: member.nodeId })
      this.#with.logger.info('control stream closed', {
        member: member.name,
        role,
        code: why.code,
        reason: why.message,
      })
    })
  }

  /** One member cannot fill the relay with control streams: the oldest, which is the likeliest to be dead, goes. */
  #makeRoom({ member, role }: Session): void {
    const same = [...this.#sessions.values()].filter((one) => one.member.nodeId === member.nodeId && one.role === role)
    const [oldest] = same
    if (oldest === undefined || same.length < MAX_CONTROLS_EACH) return
    const reason = new RopewalkError('limit-reached', 'Too many control streams of one member')
    this.#refused('control', member.name, reason)
    oldest.channel.send({ kind: 'refuse', code: reason.code, message: reason.message })
    oldest.channel.close(reason)
  }

  #told(session: Session, message: ControlMessage): void {
    const { role, channel, member } = session
    if (message.kind === 'register' && role === 'agent') this.#register(session, message.maxStreams)
    else if (message.kind === 'open' && role === 'visitor' && message.peer !== undefined) {
      this.#pairing.opened(session, message.stream, message.peer)
    } else if (message.kind === 'cancel') this.#pairing.cancelled(session, message.stream)
    else if (message.kind === 'reset') {
      if (role === 'agent') this.#pairing.declined(session, message.stream, errorOf(message))
      this.#live.reset(session, message.stream, message)
    } else {
      const reason = new RopewalkError('protocol-error', `A ${role} does not say ${message.kind}`)
      this.#refused('control', member.name, reason)
      channel.close(reason)
    }
  }

  #register(session: Session, maxStreams: number): void {
    const { nodeId, name } = session.member
    const stale = this.#agents.get(nodeId)
    session.maxStreams = Math.min(maxStreams, this.#maxStreams)
    this.#agents.set(nodeId, session)
    this.#with.logger.info('agent registered', { agent: name, takeover: stale !== undefined && stale !== session })
    if (stale === undefined || stale === session) return
    // proof of the same key: the place is its own, whether the old connection has noticed its death or not
    const reason = new RopewalkError('conflict', 'The same key has registered anew')
    stale.channel.send({ kind: 'drain', code: reason.code, message: reason.message })
    stale.channel.close(reason)
    stale.drop()
    this.#pairing.left(stale, reason)
  }

  async #greet(socket: Socket): Promise<void> {
    try {
      const hello = await readHello(socket, this.#proofTimeoutMs)
      const { kind, stream } = decodeHello(hello)
      const session = this.#sessions.get(Buffer.from(partsOf(stream).session).toString('hex'))
      if (session === undefined || !helloIsBy(hello, session.dataKey)) throw new RopewalkError('proof-failed')
      this.#place(session, kind, { socket, stream })
    } catch (error) {
      const reason = toRopewalkError(error)
      this.#refused('data', socket.remoteAddress ?? 'unknown', reason)
      sayNo(socket, Uint8Array.of(NO, refusalByte(reason.code)))
    }
  }

  #place(session: Session, kind: DataKind, pooled: Pooled): void {
    if (session.role !== (kind === 'visit' ? 'visitor' : 'agent')) {
      throw new RopewalkError('forbidden', `A ${session.role} brings no ${kind} connection`)
    }
    if (kind === 'called') {
      this.#pairing.answered(session, pooled)
      return
    }
    if (!session.isNew(partsOf(pooled.stream).number)) throw new RopewalkError('proof-failed', 'A hello used before')
    if (kind === 'visit') this.#pairing.visited(session, pooled)
    else if (!session.keep(pooled)) throw new RopewalkError('limit-reached')
  }

  /** A first sieve only: the agent decides. */
  #objection(visitor: Session, agent: Session): RopewalkError | undefined {
    const { members } = this.#with
    if (this.#stopped) return new RopewalkError('draining')
    for (const { member } of [visitor, agent]) {
      // whom the store does not know was verified by its bundle; the review does it again
      if (members.member(member.nodeId)?.revoked === true)
        return new RopewalkError('revoked', `${member.name} is revoked`)
    }
    const visits = this.#live.countOf(visitor.member.nodeId, 'visitor')
    const served = this.#live.countOf(agent.member.nodeId, 'agent')
    const full = visits >= this.#maxStreams || served >= agent.maxStreams
    return full ? new RopewalkError('limit-reached', 'Too many streams at once') : undefined
  }

  #turnAway(visitor: Session, stream: Uint8Array, socket: Socket | undefined, reason: RopewalkError): void {
    // that a visitor went away is no refusal
    if (reason.code !== 'aborted' && reason.code !== 'stream-reset') {
      this.#refused('stream', visitor.member.name, reason)
      visitor.channel.send({ kind: 'reset', stream, code: reason.code, message: reason.message.slice(0, 100) })
    }
    if (socket !== undefined) sayNo(socket, Uint8Array.of(NO, refusalByte(reason.code)))
  }

  /** Whoever is a member no more loses its streams and its control stream. */
  #review(): void {
    for (const session of new Set([...this.#sessions.values(), ...this.#live.sessions()])) {
      const { channel, member, bundle } = session
      void objectionTo(this.#with.members, { nodeId: member.nodeId, bundle }).then((reason) => {
        if (reason === undefined) return
        this.#live.cutWhere((nodeId) => nodeId === member.nodeId, reason)
        channel.send({ kind: 'refuse', code: reason.code, message: reason.message.slice(0, 100) })
        channel.close(reason)
      })
    }
  }

  #refused(what: 'control' | 'data' | 'stream', actor: string, reason: RopewalkError): void {
    const skipped = what === 'stream' ? 0 : this.#noise.pass()
    if (skipped !== undefined) {
      this.#with.logger.warn('tunnel refused', { what, actor, code: reason.code, reason: reason.message, skipped })
    }
    this.#event({ event: 'refused', what, actor, code: reason.code, reason: reason.message })
  }

  #event(event: TunnelEvent): void {
    this.#with.onEvent?.(event)
  }
}
