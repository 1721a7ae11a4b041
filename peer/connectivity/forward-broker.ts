import { randomBytes, randomInt } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import { FORWARD_SESSION_MS, type ForwardEndpoint, type ForwardGrant } from '@ropewalk/shared/forward'
import type { NodeId } from '@ropewalk/shared/identity'

/** One side of a session as the engine's forwarder takes it. */
interface Side {
  readonly slot: number
  readonly secret: Uint8Array
}

/** A session of two members in the engine's forwarder. */
export interface ForwarderSession {
  readonly id: string
  readonly a: Side
  readonly b: Side
  /** By the broker's clock. */
  readonly expiresAtMs: number
  /** Bytes that may still pass, both ways together. */
  readonly quotaBytes: number
}

/** The engine's forwarder, as far as the broker needs it. Adding a session that it knows sets its quota anew. */
export interface SessionTable {
  setSessions(add: readonly ForwarderSession[], removeIds: readonly string[]): void
}

/** How much is left of a session's quota, as the engine says. */
export interface QuotaLeft {
  readonly id: string
  readonly quotaLeftBytes: number
}

export interface ForwardBrokerOptions {
  /** Where the forwarder can be reached, most public first. */
  readonly endpoints: readonly ForwardEndpoint[]
  /** Most members that one member may have sessions with. */
  readonly sessionsPerMember: number
  /** What a session may carry before it is looked at; filled up again while both members are within theirs. */
  readonly sessionQuotaBytes: number
  /** What one member's sessions may carry together in an hour. */
  readonly memberBytesPerHour: number
}

interface Held extends ForwarderSession {
  readonly nodes: readonly [NodeId, NodeId]
}

const HOUR_MS = 60 * 60_000

/**
 * Gives pairs of members sessions in this node's forwarder: both ask, each gets its own slot and secret of the same session.
 * Pure but for randomness; the clock, one that never jumps, is passed in and membership has been proven before.
 */
export class ForwardBroker {
  readonly #options: ForwardBrokerOptions
  readonly #table: SessionTable
  /** Every session that the engine still knows, by id: the last of a pair, and older ones until their end. */
  readonly #held = new Map<string, Held>()
  readonly #latest = new Map<string, Held>()
  /** With how many others each member has a session. */
  readonly #partners = new Map<NodeId, number>()
  readonly #slots = new Set<number>()
  /** Bytes of each member since the hour began. */
  readonly #used = new Map<NodeId, number>()
  #hourBegan = 0

  constructor(options: ForwardBrokerOptions, table: SessionTable) {
    this.#options = options
    this.#table = table
  }

  /**
   * The asker's side of the pair's session; the same one again until half of its life is over.
   * @throws RopewalkError `bad-input` for a session with oneself, `limit-reached` over a quota; the engine's own refusal
   */
  grant(asker: NodeId, peer: NodeId, nowMs: number): ForwardGrant {
    if (asker === peer) throw new RopewalkError('bad-input', 'A member needs no relay to itself')
    this.#expire(nowMs)
    const nodes: readonly [NodeId, NodeId] = asker < peer ? [asker, peer] : [peer, asker]
    const held = this.#latest.get(nodes.join(' '))
    const fresh = held !== undefined && held.expiresAtMs - nowMs > FORWARD_SESSION_MS / 2
    const session = fresh ? held : this.#open(nodes, nowMs)
    const side = session.nodes[0] === asker ? session.a : session.b
    return {
      session: Buffer.from(session.id, 'hex'),
      slot: side.slot,
      secret: side.secret,
      lifetimeMs: Math.floor(session.expiresAtMs - nowMs),
      endpoints: this.#options.endpoints,
    }
  }

  /**
   * Takes note of what has passed and fills quotas up that are half used. Whoever has had its bytes of this hour gets no
   * more through until the next.
   */
  review(left: readonly QuotaLeft[], nowMs: number): void {
    this.#expire(nowMs)
    if (nowMs - this.#hourBegan >= HOUR_MS) {
      this.#hourBegan = nowMs
      this.#used.clear()
    }
    const quotas = new Map(left.map(({ id, quotaLeftBytes }) => [id, quotaLeftBytes]))
    for (const held of this.#held.values()) {
      const used = held.quotaBytes - (quotas.get(held.id) ?? held.quotaBytes)
      for (const node of held.nodes) this.#used.set(node, (this.#used.get(node) ?? 0) + used)
    }
    const changed: Held[] = []
    for (const held of this.#held.values()) {
      const leftBytes = quotas.get(held.id) ?? held.quotaBytes
      const next = { ...held, quotaBytes: this.#quotaOf(held.nodes, leftBytes) }
      if (next.quotaBytes !== leftBytes) changed.push(next)
      this.#hold(next)
    }
    if (changed.length > 0) this.#table.setSessions(changed, [])
  }

  /** Ends every session of a member at once: it was revoked. */
  cut(node: NodeId): void {
    this.#drop((held) => held.nodes.includes(node))
    this.#used.delete(node)
  }

  /** How many sessions live. */
  get size(): number {
    return this.#held.size
  }

  #quotaOf(nodes: readonly NodeId[], leftBytes: number): number {
    const { sessionQuotaBytes } = this.#options
    if (nodes.some((node) => this.#isSpent(node))) return 0
    return leftBytes < sessionQuotaBytes / 2 ? sessionQuotaBytes : leftBytes
  }

  #isSpent(node: NodeId): boolean {
    return (this.#used.get(node) ?? 0) >= this.#options.memberBytesPerHour
  }

  #open(nodes: readonly [NodeId, NodeId], nowMs: number): Held {
    const isNew = !this.#latest.has(nodes.join(' '))
    for (const node of nodes) {
      const full = isNew && (this.#partners.get(node) ?? 0) >= this.#options.sessionsPerMember
      if (full || this.#isSpent(node)) {
        throw new RopewalkError('limit-reached', 'This relay carries as much for that member as it allows', {
          hint: 'use another relay, or wait: what a member may have is counted by the hour',
        })
      }
    }
    const held: Held = {
      id: randomBytes(16).toString('hex'),
      nodes,
      a: this.#side(),
      b: this.#side(),
      expiresAtMs: nowMs + FORWARD_SESSION_MS,
      quotaBytes: this.#options.sessionQuotaBytes,
    }
    // the engine first: what it refuses was never given. The old session of the pair goes on in it until its own end
    try {
      this.#table.setSessions([held], [])
    } catch (error) {
      this.#free(held)
      throw error
    }
    if (isNew) for (const node of nodes) this.#partners.set(node, (this.#partners.get(node) ?? 0) + 1)
    this.#latest.set(nodes.join(' '), held)
    this.#hold(held)
    return held
  }

  #hold(held: Held): void {
    this.#held.set(held.id, held)
    const pair = held.nodes.join(' ')
    if (this.#latest.get(pair)?.id === held.id) this.#latest.set(pair, held)
  }

  #side(): Side {
    let slot = 0
    while (slot === 0 || this.#slots.has(slot)) slot = randomInt(1, 2 ** 32)
    this.#slots.add(slot)
    return { slot, secret: randomBytes(32) }
  }

  #free({ a, b }: Held): void {
    this.#slots.delete(a.slot)
    this.#slots.delete(b.slot)
  }

  #expire(nowMs: number): void {
    this.#drop((held) => held.expiresAtMs <= nowMs)
  }

  #drop(which: (held: Held) => boolean): void {
    const gone = [...this.#held.values()].filter(which)
    for (const held of gone) {
      this.#held.delete(held.id)
      this.#free(held)
      const pair = held.nodes.join(' ')
      if (this.#latest.get(pair)?.id !== held.id) continue
      this.#latest.delete(pair)
      for (const node of held.nodes) {
        const left = (this.#partners.get(node) ?? 1) - 1
        if (left === 0) this.#partners.delete(node)
        else this.#partners.set(node, left)
      }
    }
    if (gone.length > 0)
      this.#table.setSessions(
        [],
        gone.map(({ id }) => id),
      )
  }
}
