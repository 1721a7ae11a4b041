import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { MAX_MEMBERS, type WayIn } from '@ropewalk/shared/membership'
import type { Dialer } from './dialer.ts'
import type { Host } from './host.ts'
import { toNodeId } from './libp2p-ids.ts'
import type { Registry } from './registry.ts'
import type { Sync } from './sync.ts'
import { networkError } from './wire.ts'

/** What the neighbourhood stands on. */
export interface NeighbourhoodOptions {
  readonly registry: Registry
  readonly sync: Sync
  readonly dialer: Dialer
  readonly waysIn: readonly WayIn[]
  readonly logger: Logger
}

interface Attempts {
  failures: number
  nextAtMs: number
}

const WANTED = 5
const MAX_RELAYS = 8
const TICK_MS = 150
const AT_ONCE = 4
const MOST_ATTEMPTS = 2 * MAX_MEMBERS
const DIAL_TIMEOUT_MS = 8_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 60_000
const LAST_RELAY_RETRY_MS = 2_000
const SWAP_MS = 60_000
const TIDY_MS = 30_000
const IDLE_CONNECTION_MS = 60_000

/**
 * Keeps links to every relay and to some other members. Who has none races everybody it remembers: one more every
 * 150 ms, four at once.
 */
export class Neighbourhood {
  readonly #options: NeighbourhoodOptions
  readonly #attempts = new Map<NodeId, Attempts>()
  readonly #dialling = new Set<NodeId>()
  readonly #abort = new AbortController()
  #timers: NodeJS.Timeout[] = []
  #host: Host | undefined

  constructor(options: NeighbourhoodOptions) {
    this.#options = options
  }

  start(host: Host): void {
    this.#host = host
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#swap(), SWAP_MS),
      setInterval(() => this.#tidy(), TIDY_MS),
    ]
    this.#tick()
  }

  stop(): void {
    this.#abort.abort()
    for (const timer of this.#timers) clearInterval(timer)
  }

  /** Forgets earlier failures: addresses or the own network changed. */
  retryAll(): void {
    this.#attempts.clear()
  }

  #tick(): void {
    const next = this.#wanted().find(
      (id) => this.#hasRoom(id) && (this.#attempts.get(id)?.nextAtMs ?? 0) <= performance.now(),
    )
    if (next !== undefined) void this.#link(next)
  }

  /** Dials that may hang, of strangers on the local network or of members that are away, leave room for the useful ones. */
  #hasRoom(id: NodeId): boolean {
    const { registry } = this.#options
    const kindOf = (one: NodeId): 'first' | 'member' | 'stranger' => {
      if (this.#options.waysIn.some((way) => way.nodeId === one)) return 'first'
      const rights = registry.get(one)?.verified.rights
      if (rights === undefined) return 'stranger'
      return rights.includes('relay') ? 'first' : 'member'
    }
    const kind = kindOf(id)
    const most = { first: MAX_RELAYS, member: AT_ONCE, stranger: 1 }[kind]
    return [...this.#dialling].filter((one) => kindOf(one) === kind).length < most
  }

  /** Whom to link next, the most useful first; nobody when there is enough. */
  #wanted(): NodeId[] {
    const { registry, sync, waysIn, dialer } = this.#options
    const free = (id: NodeId): boolean =>
      id !== registry.self && !sync.links.has(id) && !this.#dialling.has(id) && this.#allowed(id)
    const members = [...registry.entries()].filter(
      ({ verified, member }) => free(verified.nodeId) && member.state !== 'gone',
    )
    const relays = members
      .filter(({ verified }) => verified.rights.includes('relay'))
      .map(({ verified }) => verified.nodeId)
    const doors = waysIn
      .filter((way) => free(way.nodeId) && registry.get(way.nodeId) === undefined)
      .map((way) => way.nodeId)
    const first = [...new Set([...relays.slice(0, MAX_RELAYS), ...doors])]
    if (sync.links.size + this.#dialling.size >= WANTED) return first
    const others = members.filter(({ verified }) => !verified.rights.includes('relay'))
    const reachable = others.filter(({ verified }) => dialer.addressesOf(verified.nodeId).length > 0)
    const near = new Set(dialer.nearby())
    const rank = (id: NodeId): number => (near.has(id) ? 0 : 1) + (registry.get(id)?.member.state === 'online' ? 0 : 2)
    const shuffled = reachable.map(({ verified }) => ({
      id: verified.nodeId,
      key: rank(verified.nodeId) + Math.random(),
    }))
    const strangers = [...near].filter((id) => free(id) && registry.get(id) === undefined)
    return [...first, ...shuffled.sort((a, b) => a.key - b.key).map(({ id }) => id), ...strangers]
  }

  #allowed(id: NodeId): boolean {
    return this.#options.registry.revocations?.nodes.has(id) !== true
  }

  async #link(id: NodeId): Promise<void> {
    const { dialer, sync, logger } = this.#options
    this.#dialling.add(id)
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)])
    try {
      await sync.open(await dialer.connect(id, signal), signal)
      this.#attempts.delete(id)
    } catch (error) {
      if (this.#abort.signal.aborted) return
      const failures = (this.#attempts.get(id)?.failures ?? 0) + 1
      const relay = this.#options.registry.get(id)?.verified.rights.includes('relay') ?? true
      const most = relay ? LAST_RELAY_RETRY_MS : LAST_RETRY_MS
      const delayMs = Math.min(most, FIRST_RETRY_MS * 2 ** (failures - 1)) * (0.8 + 0.4 * Math.random())
      this.#attempts.set(id, { failures, nextAtMs: performance.now() + delayMs })
      const [oldest] = this.#attempts.keys() // strangers on the local network can invent any number of nodes
      if (this.#attempts.size > MOST_ATTEMPTS && oldest !== undefined) this.#attempts.delete(oldest)
      const { code, message } = networkError(error)
      logger.debug('could not link a member', { nodeId: id, code, reason: message, failures })
    } finally {
      this.#dialling.delete(id)
    }
  }

  /** A random other neighbour now and then, so that the mesh of links does not fall into islands. */
  #swap(): void {
    const { sync, registry } = this.#options
    if (this.#wanted().length === 0 && sync.links.size < WANTED) return
    const outgoing = [...sync.links.values()].filter(
      (link) => link.outgoing && registry.get(link.peer)?.verified.rights.includes('relay') !== true,
    )
    const unlinked = [...registry.entries()].filter(
      ({ verified, member }) => member.state === 'online' && !sync.links.has(verified.nodeId),
    )
    const leaving = outgoing[Math.floor(Math.random() * outgoing.length)]
    if (leaving === undefined || outgoing.length < WANTED || unlinked.length < WANTED) return
    this.#attempts.set(leaving.peer, { failures: 0, nextAtMs: performance.now() + SWAP_MS })
    leaving.close(new Error('swapped for another neighbour'))
  }

  /** Ends connections that nobody uses. */
  #tidy(): void {
    for (const connection of this.#host?.getConnections() ?? []) {
      const idle = connection.streams.length === 0 && Date.now() - connection.timeline.open > IDLE_CONNECTION_MS
      if (idle && !this.#options.sync.links.has(toNodeId(connection.remotePeer))) {
        connection.close({ signal: AbortSignal.timeout(1_000) }).catch(() => connection.abort(new Error('idle')))
      }
    }
  }
}
