import type { Connection, Stream } from '@libp2p/interface'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { type Holding, PUSH_CHUNK, SYNC_PROTOCOL, type SyncMessage } from '@ropewalk/shared/records'
import type { Host } from './host.ts'
import { Intake } from './intake.ts'
import { toNodeId } from './libp2p-ids.ts'
import { Link, type LinkListener } from './link.ts'
import type { Entry, Registry, RegistryEvent } from './registry.ts'
import { networkError } from './wire.ts'

/** What the sync stands on. */
export interface SyncOptions {
  readonly registry: Registry
  readonly logger: Logger
  /** A neighbour with an older revocation list is not believed. */
  readonly minRevocationSeq: number
  /** A link is up or down. */
  changed(peer: NodeId, up: boolean): void
}

const DIGEST_INTERVAL_MS = 5_000
const QUIET_LIMIT_MS = 11_500 // two signs of life missed, and told within 15 s
const QUIET_CHECK_MS = 250
const FLOOD_DELAY_MS = 5
const FLOOD_LIMIT = 64
const MAX_INCOMING = 32
const DISMISS_MS = 200

/** Keeps all members' statements the same everywhere: push on change, digests against what was missed. */
export class Sync implements LinkListener {
  readonly #registry: Registry
  readonly #logger: Logger
  readonly #options: SyncOptions
  readonly #intake: Intake
  readonly #links = new Map<NodeId, Link>()
  readonly #flood = new Map<string, { readonly event: RegistryEvent; readonly origin: NodeId | undefined }>()
  #floodTimer: NodeJS.Timeout | undefined
  #timers: readonly NodeJS.Timeout[] = []
  #unlisten: () => void = () => undefined
  #host: Host | undefined

  constructor(options: SyncOptions) {
    this.#options = options
    this.#registry = options.registry
    this.#logger = options.logger
    this.#intake = new Intake(options.registry, options.logger)
  }

  /** Neighbours there is a link to. */
  get links(): ReadonlyMap<NodeId, Link> {
    return this.#links
  }

  async start(host: Host): Promise<void> {
    this.#host = host
    this.#unlisten = this.#registry.listen((event) => this.#noteFresh(event))
    await host.handle(SYNC_PROTOCOL, (stream, connection) => this.#serve(stream, connection), { maxInboundStreams: 4 })
    this.#timers = [
      setInterval(() => this.#beat(), DIGEST_INTERVAL_MS),
      setInterval(() => this.#checkQuiet(), QUIET_CHECK_MS),
    ]
  }

  /** Sends what is still waiting, then ends all links. */
  async stop(flushMs: number): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#sendFlood()
    this.#unlisten()
    await Promise.all([...this.#links.values()].map((link) => link.flush(flushMs)))
    for (const link of [...this.#links.values()]) link.close(new RopewalkError('draining', 'This node stops'))
    await this.#host?.unhandle(SYNC_PROTOCOL)
  }

  /** Opens a link over a connection that is up. @throws what libp2p throws */
  async open(connection: Connection, signal: AbortSignal): Promise<void> {
    const peer = toNodeId(connection.remotePeer)
    if (this.#links.has(peer)) return
    this.#adopt(new Link(await connection.newStream(SYNC_PROTOCOL, { signal }), peer, true, this))
  }

  /** Gives a revoked neighbour the list that it is on, as its last message. */
  async dismiss(peer: NodeId, list: Uint8Array | undefined, reason: Error): Promise<void> {
    const link = this.#links.get(peer)
    if (list !== undefined) link?.send({ kind: 'push', bundles: [], records: [], revocations: list })
    await link?.flush(DISMISS_MS)
    link?.close(reason)
  }

  /** Tells all neighbours that nothing is heard of these nodes any more. */
  tellSilence(nodes: readonly (readonly [NodeId, number])[]): void {
    for (const link of this.#links.values()) link.send({ kind: 'silence', nodes })
  }

  async message(message: SyncMessage, link: Link): Promise<void> {
    this.#registry.heard(link.peer)
    switch (message.kind) {
      case 'hello':
        this.#checkRevocations(message.revocations[0])
        await this.#intake.take(
          { kind: 'push', bundles: [message.bundle], records: message.record === undefined ? [] : [message.record] },
          link.peer,
        )
        return this.#compare(message, link)
      case 'push':
        return await this.#intake.take(message, link.peer)
      case 'digest':
        if (Buffer.compare(message.hash, this.#registry.digest()) !== 0) link.send({ kind: 'have', ...this.#state() })
        return
      case 'have':
        return this.#compare(message, link)
      case 'pull':
        return this.#push(
          link,
          message.nodes.flatMap((id) => this.#registry.get(id) ?? []),
        )
      case 'silence':
        return this.#hearSilence(message.nodes, link)
    }
  }

  closed(link: Link, reason: unknown): void {
    if (this.#links.get(link.peer) !== link) return
    this.#links.delete(link.peer)
    const { code, message } = networkError(reason)
    const hostile = code === 'bad-input' || code === 'bad-statement' || code === 'bad-signature' || code === 'too-large'
    if (hostile) this.#logger.warn('a neighbour sent what it must not', { nodeId: link.peer, code, reason: message })
    this.#options.changed(link.peer, false)
  }

  #serve(stream: Stream, connection: Connection): void {
    const peer = toNodeId(connection.remotePeer)
    const incoming = [...this.#links.values()].filter((link) => !link.outgoing).length
    const full =
      incoming >= MAX_INCOMING && this.#registry.get(this.#registry.self)?.verified.rights.includes('relay') !== true
    if (full && !this.#links.has(peer)) stream.abort(new RopewalkError('limit-reached', 'Enough neighbours'))
    else this.#adopt(new Link(stream, peer, false, this))
  }

  #adopt(link: Link): void {
    const held = this.#links.get(link.peer)
    // two that dial each other at once keep the link of the smaller id, both of them; else the newer one counts
    const keepHeld =
      held !== undefined && held.outgoing !== link.outgoing && this.#registry.self < link.peer === held.outgoing
    if (keepHeld) {
      link.close(new RopewalkError('conflict', 'There is a link already'))
      return
    }
    this.#links.set(link.peer, link)
    held?.close(new RopewalkError('conflict', 'A newer link takes its place'))
    const self = this.#registry.get(this.#registry.self)
    if (self !== undefined) {
      link.send({ kind: 'hello', ...this.#state(), bundle: self.bundle, record: self.record?.bytes })
    }
    if (held === undefined) this.#options.changed(link.peer, true)
  }

  #state(): { revocations: readonly [number, Uint8Array]; policy: readonly [number, Uint8Array]; have: Holding[] } {
    const { revocations, policy } = this.#registry
    return {
      revocations: [revocations?.seq ?? 0, revocations?.hash ?? new Uint8Array()],
      policy: [policy?.seq ?? 0, new Uint8Array()],
      have: this.#registry.holdings(),
    }
  }

  #compare(theirs: Extract<SyncMessage, { readonly kind: 'hello' | 'have' }>, link: Link): void {
    const held = new Map(theirs.have.map((one) => [one.nodeId, one]))
    const { revocations, policy } = this.#registry
    const lists = {
      revocations: (revocations?.seq ?? 0) > theirs.revocations[0] ? revocations?.bytes : undefined,
      policy: (policy?.seq ?? 0) > theirs.policy[0] ? policy?.bytes : undefined,
    }
    const missing = [...this.#registry.entries()].filter((entry) => {
      const one = held.get(entry.verified.nodeId)
      return one === undefined || isNewer(entry, one)
    })
    this.#push(link, missing, held, lists)
    const wanted = theirs.have.filter((one) => {
      const entry = this.#registry.get(one.nodeId)
      const revoked = revocations?.nodes.has(one.nodeId) === true
      return !revoked && (entry === undefined || isOlder(entry, one))
    })
    // a HELLO is answered by the other side’s own comparison; a HAVE is not
    const nodes = wanted.map((one) => one.nodeId)
    if (theirs.kind === 'have' && nodes.length > 0) link.send({ kind: 'pull', nodes })
  }

  #push(
    link: Link,
    entries: readonly Entry[],
    held: ReadonlyMap<NodeId, Holding> = new Map(),
    lists: { revocations?: Uint8Array | undefined; policy?: Uint8Array | undefined } = {},
  ): void {
    if (entries.length === 0 && lists.revocations === undefined && lists.policy === undefined) return
    for (let start = 0; start === 0 || start < entries.length; start += PUSH_CHUNK) {
      const chunk = entries.slice(start, start + PUSH_CHUNK)
      const bundles = chunk.filter(
        (one) => one.verified.admission.admittedAtMs > (held.get(one.verified.nodeId)?.admittedAtMs ?? 0),
      )
      const records = chunk.filter((one) => (one.record?.body.seq ?? 0) > (held.get(one.verified.nodeId)?.seq ?? 0))
      link.send({
        kind: 'push',
        bundles: bundles.map((one) => one.bundle),
        records: records.flatMap((one) => one.record?.bytes ?? []),
        ...(start === 0 ? lists : {}),
      })
    }
  }

  #noteFresh(event: RegistryEvent): void {
    if (event.kind !== 'bundle' && event.kind !== 'record' && event.kind !== 'revocations' && event.kind !== 'policy')
      return
    const subject = 'entry' in event ? event.entry.verified.nodeId : ''
    this.#flood.set(`${event.kind} ${subject}`, { event, origin: event.origin })
    this.#floodTimer ??= setTimeout(() => this.#sendFlood(), FLOOD_DELAY_MS)
  }

  #sendFlood(): void {
    clearTimeout(this.#floodTimer)
    this.#floodTimer = undefined
    const fresh = [...this.#flood.values()]
    this.#flood.clear()
    // a whole network at once is a first sync: the neighbours have it, and if not, the next digest tells
    if (fresh.length === 0 || fresh.length > FLOOD_LIMIT) return
    for (const link of this.#links.values()) {
      const mine = fresh.filter(({ origin }) => origin !== link.peer).map(({ event }) => event)
      if (mine.length === 0) continue
      link.send({
        kind: 'push',
        bundles: mine.flatMap((event) => (event.kind === 'bundle' ? event.entry.bundle : [])),
        records: mine.flatMap((event) => (event.kind === 'record' ? (event.entry.record?.bytes ?? []) : [])),
        revocations: mine.find((event) => event.kind === 'revocations')?.revocations.bytes,
        policy: mine.find((event) => event.kind === 'policy')?.policy.bytes,
      })
    }
  }

  /** To all neighbours: it is their sign of life as well. */
  #beat(): void {
    const hash = this.#registry.digest()
    for (const link of this.#links.values()) link.send({ kind: 'digest', hash })
  }

  #checkQuiet(): void {
    for (const link of [...this.#links.values()]) {
      if (link.quietMs > QUIET_LIMIT_MS) link.close(new RopewalkError('timeout', 'Nothing was heard of the neighbour'))
    }
  }

  #hearSilence(nodes: readonly (readonly [NodeId, number])[], link: Link): void {
    // only a relay hears of everybody, so only a relay can miss somebody
    if (this.#registry.get(link.peer)?.verified.rights.includes('relay') !== true) return
    for (const [id, seq] of nodes) if (!this.#links.has(id)) this.#registry.fellSilent(id, seq)
  }

  #checkRevocations(theirSeq: number): void {
    const { minRevocationSeq } = this.#options
    if (theirSeq >= minRevocationSeq || (this.#registry.revocations?.seq ?? 0) >= minRevocationSeq) return
    throw new RopewalkError('stale-statement', 'The neighbour’s revocation list is older than the ticket asks for')
  }
}

function isNewer(entry: Entry, theirs: Holding): boolean {
  return (entry.record?.body.seq ?? 0) > theirs.seq || entry.verified.admission.admittedAtMs > theirs.admittedAtMs
}

function isOlder(entry: Entry, theirs: Holding): boolean {
  return (entry.record?.body.seq ?? 0) < theirs.seq || entry.verified.admission.admittedAtMs < theirs.admittedAtMs
}
