import type { NodeId } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Link, Report } from '@ropewalk/shared/records'
import {
  applyDelta,
  type Collector,
  createCollector,
  type Delta,
  type Snapshot,
  type Report as TopologyReport,
} from '@ropewalk/shared/topology'
import type { Discovery, DiscoveryEvent, Member, Unsubscribe } from '../discovery/index.ts'
import { DeltaRing, type DeltaRingLimits, itemsIn, type Mark } from '../watchers/index.ts'
import { describeLinks, describeNode, describeRelay, isUp } from './described.ts'
import { type Liveness, RECONNECT_MS, signOfLife } from './life.ts'

/** Silence is looked for this often, in ms. */
const TICK_MS = 1_000
/** Changes that come together become one delta, in ms. */
const GATHER_MS = 100
/** At most this share of the time goes into comparing pictures, whatever the size of the network. */
const BUSY_SHARE = 0.1
/** The own links are told this often, in ms: as often as others report theirs. */
const OWN_REPORT_MS = 5_000
/** Revoked members that are still shown as such. */
const REVOKED_SHOWN = 256

export interface TopologyOptions {
  readonly liveness: Liveness
  /** Random for each start of the process. */
  readonly epoch: string
  readonly ring?: DeltaRingLimits
}

export interface TopologyDependencies {
  readonly discovery: Pick<Discovery, 'self' | 'members' | 'onChange' | 'onReport' | 'connectedTo'>
  /** This node's own links. */
  readonly links: {
    report(): readonly Link[]
    onChange(listener: () => void): Unsubscribe
  }
  /** Milliseconds since 1970; should not jump, so that a wrong clock makes nobody look dead. */
  readonly nowMs: () => number
  readonly logger: Logger
}

/** The mesh as this node knows it, kept true: 2 s after a loud fault, 15 s after a silent one. */
export interface Topology extends Startable {
  /** The picture after the last delta. */
  snapshot(): Snapshot
  /** The deltas after a mark; `undefined` when only a snapshot helps. */
  since(mark: Mark): readonly Delta[] | undefined
  /** Hears every delta from now on, in order and without gaps. */
  onDelta(listener: (delta: Delta) => void): Unsubscribe
}

/** Makes the topology of a node out of its members, their reports and its own links. */
export function createTopology(options: TopologyOptions, dependencies: TopologyDependencies): Topology {
  return new LiveTopology(options, dependencies)
}

class LiveTopology implements Topology {
  readonly #liveness: Liveness
  readonly #deps: TopologyDependencies
  readonly #collector: Collector
  readonly #ring: DeltaRing<Delta>
  readonly #life: Startable
  readonly #listeners = new Set<(delta: Delta) => void>()
  readonly #undo: (() => void)[] = []
  readonly #lost = new Map<NodeId, number>()
  readonly #revoked = new Map<NodeId, Member>()
  readonly #linkUp = new Set<NodeId>()
  #snapshot: Snapshot
  #membersChanged = true
  #ownReportAtMs = 0
  #timer: NodeJS.Timeout | undefined
  #restMs = GATHER_MS

  constructor({ liveness, epoch, ring }: TopologyOptions, dependencies: TopologyDependencies) {
    this.#liveness = liveness
    this.#deps = dependencies
    this.#collector = createCollector({ epoch })
    this.#ring = new DeltaRing(({ nodes, links, relays }) => itemsIn(nodes, links, relays), ring)
    this.#snapshot = this.#collector.snapshot(dependencies.nowMs())
    this.#life = startable({ start: () => this.#begin(), stop: () => this.#end() })
  }

  start(options?: Parameters<Startable['start']>[0]): Promise<void> {
    return this.#life.start(options)
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  snapshot(): Snapshot {
    return this.#snapshot
  }

  since({ epoch, sequence }: Mark): readonly Delta[] | undefined {
    if (epoch !== this.#snapshot.epoch) return undefined
    return sequence === this.#snapshot.sequence ? [] : this.#ring.since(sequence)
  }

  onDelta(listener: (delta: Delta) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #begin(): void {
    const { discovery, links } = this.#deps
    const tick = setInterval(() => this.#soon(), TICK_MS)
    tick.unref()
    this.#undo.push(
      () => clearInterval(tick),
      discovery.onChange((event) => this.#onEvent(event)),
      discovery.onReport((report, from) => this.#onReport(report, from)),
      links.onChange(() => {
        this.#ownReportAtMs = 0
        this.#soon()
      }),
    )
    this.#advance()
  }

  #end(): void {
    for (const step of this.#undo.splice(0)) step()
    clearTimeout(this.#timer)
    this.#listeners.clear()
  }

  #onEvent(event: DiscoveryEvent): void {
    switch (event.kind) {
      case 'joined':
      case 'updated':
      case 'state':
      case 'left':
        this.#membersChanged = true
        break
      case 'revoked':
        this.#keepRevoked(event.member)
        break
      case 'connected':
        this.#lost.delete(event.nodeId)
        break
      case 'disconnected':
        this.#onDisconnected(event.nodeId)
        return
      case 'revocations':
      case 'policy':
      case 'warning':
        return
    }
    this.#soon()
  }

  #keepRevoked(member: Member): void {
    this.#membersChanged = true
    this.#revoked.set(member.nodeId, { ...member, state: 'revoked' })
    const [oldest] = this.#revoked.keys()
    if (this.#revoked.size > REVOKED_SHOWN && oldest !== undefined) this.#revoked.delete(oldest)
  }

  /** Links are swapped and re-dialled in a healthy mesh: only one that does not come back is a fault. */
  #onDisconnected(nodeId: NodeId): void {
    const { discovery, nowMs } = this.#deps
    const atMs = nowMs()
    const timer = setTimeout(() => {
      if (discovery.connectedTo(nodeId)) return
      this.#lost.set(nodeId, atMs)
      this.#soon()
    }, RECONNECT_MS)
    timer.unref()
  }

  #onReport(report: Report, from: Member): void {
    const links = describeLinks(report.links)
    this.#lost.delete(from.nodeId)
    this.#placeMembers() // a newcomer's first words may come before its place is made
    this.#collector.report(from.nodeId, { sequence: report.seq, at: report.atMs, links }, this.#deps.nowMs())
    this.#soon()
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#advance()
    }, this.#restMs)
    this.#timer.unref()
  }

  #advance(): void {
    const began = performance.now()
    const now = this.#deps.nowMs()
    const own = this.#ownReport(now)
    this.#placeMembers()
    this.#judgeMembers(now)
    if (own !== undefined) this.#collector.report(this.#deps.discovery.self.nodeId, own, now)
    const delta = this.#collector.advance(now)
    if (delta !== undefined) this.#publish(delta)
    this.#restMs = Math.max(GATHER_MS, (performance.now() - began) * (1 / BUSY_SHARE - 1))
  }

  /** Tells the collector who there is, when that has changed. */
  #placeMembers(): void {
    if (!this.#membersChanged) return
    this.#membersChanged = false
    const { discovery } = this.#deps
    const members = [discovery.self, ...discovery.members()]
    const known = new Set(members.map(({ nodeId }) => nodeId))
    for (const id of [...this.#lost.keys()]) if (!known.has(id)) this.#lost.delete(id)
    for (const id of [...this.#revoked.keys()]) if (known.has(id)) this.#revoked.delete(id)
    this.#collector.setNodes([...members, ...this.#revoked.values()].map(describeNode))
    this.#collector.setRelays(members.flatMap(describeRelay))
  }

  #judgeMembers(nowMs: number): void {
    const { discovery } = this.#deps
    for (const member of [discovery.self, ...discovery.members(), ...this.#revoked.values()]) {
      const sign = signOfLife(member, {
        liveness: this.#liveness,
        nowMs,
        self: discovery.self.nodeId,
        linkUp: this.#linkUp.has(member.nodeId),
        connected: discovery.connectedTo(member.nodeId),
        lostAtMs: this.#lost.get(member.nodeId),
      })
      if (sign?.kind === 'heard') this.#collector.heard(member.nodeId, sign.atMs)
      else if (sign?.kind === 'gone') this.#collector.gone(member.nodeId)
    }
  }

  /** What this node has to say of its own links, when it is time. */
  #ownReport(nowMs: number): TopologyReport | undefined {
    if (nowMs - this.#ownReportAtMs < OWN_REPORT_MS) return undefined
    this.#ownReportAtMs = nowMs
    const links = this.#deps.links.report()
    this.#linkUp.clear()
    for (const { peer, state } of links) if (isUp(state)) this.#linkUp.add(peer)
    return { sequence: Math.floor(nowMs), at: nowMs, links: describeLinks(links) }
  }

  #publish(delta: Delta): void {
    this.#snapshot = applyDelta(this.#snapshot, delta)
    this.#ring.push(delta)
    for (const listener of [...this.#listeners]) {
      try {
        listener(delta)
      } catch (error) {
        this.#deps.logger.error('a watcher of the topology failed', { error })
      }
    }
  }
}
