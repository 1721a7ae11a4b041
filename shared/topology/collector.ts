import { byId, diffSnapshots, isEmptyDelta } from './delta.ts'
import { mergeLink } from './link.ts'
import type { Delta, LinkEnd, Report, Snapshot, TopologyLink, TopologyNode, TopologyRelay } from './schema.ts'

/** After this long without a word (two reports missed) a node is offline and its reports no longer count: told within 15 s. */
export const STALE_MS = 13_000

/** A member as the collector is told of it; whether it is online follows from what is heard. */
export type CollectedNode = Omit<TopologyNode, 'state' | 'lastHeardAt'> & { readonly revoked: boolean }

/** The collector's first settings. */
export interface CollectorOptions {
  /** Random for each start of the process. */
  readonly epoch: string
}

/** Puts members and reports together into one picture. Pure: the time is passed in, in milliseconds since 1970. */
export interface Collector {
  /** The members there are now, all of them. */
  setNodes(nodes: readonly CollectedNode[]): void
  /** The relays there are now, all of them; they are online as their node is. */
  setRelays(relays: readonly Omit<TopologyRelay, 'state'>[]): void
  /** A node gave a sign of life at `now`. */
  heard(nodeId: string, now: number): void
  /** A node's loud good-bye: offline at once. */
  gone(nodeId: string): void
  /** A report of a proven sender; an older sequence than the last is ignored (false). */
  report(nodeId: string, report: Report, now: number): boolean
  /** The picture now. The sequence rises with every change against the picture before. */
  snapshot(now: number): Snapshot
  /** As {@link snapshot}, and what changed; `undefined` when nothing did. */
  advance(now: number): Delta | undefined
}

/** An empty collector. */
export function createCollector(options: CollectorOptions): Collector {
  return new Collecting(options.epoch)
}

interface Heard {
  readonly report: Report
  readonly at: number
}

class Collecting implements Collector {
  readonly #heard = new Map<string, number>()
  readonly #reports = new Map<string, Heard>()
  #nodes = new Map<string, CollectedNode>()
  #relays: readonly Omit<TopologyRelay, 'state'>[] = []
  #last: Snapshot

  constructor(epoch: string) {
    this.#last = { version: 1, epoch, sequence: 0, at: 0, nodes: [], links: [], relays: [] }
  }

  setNodes(nodes: readonly CollectedNode[]): void {
    this.#nodes = new Map(nodes.map((node) => [node.nodeId, node]))
    for (const known of [this.#heard, this.#reports]) {
      for (const id of known.keys()) if (!this.#nodes.has(id)) known.delete(id)
    }
  }

  setRelays(relays: readonly Omit<TopologyRelay, 'state'>[]): void {
    this.#relays = relays
  }

  heard(nodeId: string, now: number): void {
    if (this.#nodes.has(nodeId)) this.#heard.set(nodeId, Math.max(now, this.#heard.get(nodeId) ?? 0))
  }

  gone(nodeId: string): void {
    this.#heard.delete(nodeId)
    this.#reports.delete(nodeId)
  }

  report(nodeId: string, report: Report, now: number): boolean {
    if (!this.#nodes.has(nodeId)) return false
    const last = this.#reports.get(nodeId)
    if (last !== undefined && report.sequence <= last.report.sequence) return false
    this.#reports.set(nodeId, { report, at: now })
    this.heard(nodeId, now)
    return true
  }

  snapshot(now: number): Snapshot {
    this.advance(now)
    return this.#last
  }

  advance(now: number): Delta | undefined {
    const nodes = [...this.#nodes.values()].map((node) => this.#nodeAt(node, now))
    const online = new Set(nodes.filter(({ state }) => state === 'online').map(({ nodeId }) => nodeId))
    const next: Snapshot = {
      version: 1,
      epoch: this.#last.epoch,
      sequence: this.#last.sequence + 1,
      at: now,
      nodes: nodes.sort((a, b) => byId(a.nodeId, b.nodeId)),
      links: this.#links(now, online),
      relays: this.#relays
        .map((relay): TopologyRelay => ({ ...relay, state: online.has(relay.nodeId) ? 'online' : 'offline' }))
        .sort((a, b) => byId(a.nodeId, b.nodeId)),
    }
    const delta = diffSnapshots(this.#last, next)
    if (isEmptyDelta(delta)) return undefined
    this.#last = next
    return delta
  }

  #nodeAt({ revoked, ...node }: CollectedNode, now: number): TopologyNode {
    const lastHeardAt = this.#heard.get(node.nodeId) ?? 0
    const state = revoked ? 'revoked' : now - lastHeardAt > STALE_MS ? 'offline' : 'online'
    // coarse on purpose: a sign of life alone is no change worth an event to every watcher
    return {
      ...node,
      state,
      lastHeardAt: state === 'online' ? Math.floor(lastHeardAt / STALE_MS) * STALE_MS : lastHeardAt,
    }
  }

  #links(now: number, online: ReadonlySet<string>): TopologyLink[] {
    const pairs = new Map<string, { a: string; b: string; endA?: LinkEnd; endB?: LinkEnd }>()
    for (const [nodeId, { report, at }] of this.#reports) {
      if (now - at > STALE_MS || !online.has(nodeId)) continue
      for (const { peer, ...end } of report.links) {
        if (peer === nodeId || !this.#nodes.has(peer)) continue
        const [a, b] = nodeId < peer ? [nodeId, peer] : [peer, nodeId]
        const pair = pairs.get(`${a}|${b}`) ?? { a, b }
        pairs.set(`${a}|${b}`, { ...pair, ...(nodeId === a ? { endA: end } : { endB: end }) })
      }
    }
    return [...pairs.entries()]
      .map(([id, pair]) => {
        const link = mergeLink(id, pair)
        // one end is dead and the other has not noticed yet: what it says of the link is the past
        return online.has(pair.a) && online.has(pair.b) ? link : { ...link, state: 'down' as const }
      })
      .sort((one, two) => byId(one.id, two.id))
  }
}
