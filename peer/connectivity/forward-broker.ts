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
  readonly expiresAtMs: number
}

/** The engine's forwarder, as far as the broker needs it. */
export interface SessionTable {
  setSessions(add: readonly ForwarderSession[], removeIds: readonly string[]): void
}

export interface ForwardBrokerOptions {
  /** Where the forwarder can be reached, most public first. */
  readonly endpoints: readonly ForwardEndpoint[]
  /** Most live sessions that one member may take part in. */
  readonly sessionsPerMember: number
}

interface Held extends ForwarderSession {
  readonly nodes: readonly [NodeId, NodeId]
}

/**
 * Gives pairs of members sessions in this node's forwarder: both ask, each gets its own slot and secret of the same session.
 * Pure but for randomness; the clock is passed in and membership has been proven before.
 */
export class ForwardBroker {
  readonly #options: ForwardBrokerOptions
  readonly #table: SessionTable
  /** Every session that the engine still knows, by id: the last of a pair, and older ones until their end. */
  readonly #held = new Map<string, Held>()
  readonly #latest = new Map<string, Held>()
  readonly #slots = new Set<number>()

  constructor(options: ForwardBrokerOptions, table: SessionTable) {
    this.#options = options
    this.#table = table
  }

  /**
   * The asker's side of the pair's session; the same one again until half of its life is over.
   * @throws RopewalkError `bad-input` for a session with oneself, `limit-reached` over the quota
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
      lifetimeMs: session.expiresAtMs - nowMs,
      endpoints: this.#options.endpoints,
    }
  }

  /** Ends every session of a member at once: it was revoked. */
  cut(node: NodeId): void {
    this.#drop((held) => held.nodes.includes(node))
  }

  /** How many sessions live. */
  get size(): number {
    return this.#held.size
  }

  #open(nodes: readonly [NodeId, NodeId], nowMs: number): Held {
    for (const node of nodes) {
      const count = [...this.#latest.values()].filter((held) => held.nodes.includes(node)).length
      if (count >= this.#options.sessionsPerMember) {
        throw new RopewalkError('limit-reached', 'This relay carries as many sessions of that member as it allows', {
          hint: 'use another relay, or give this one a higher limit',
        })
      }
    }
    const id = randomBytes(16).toString('hex')
    const held: Held = { id, nodes, a: this.#side(), b: this.#side(), expiresAtMs: nowMs + FORWARD_SESSION_MS }
    // the old session of the pair goes on in the engine until its own end: nothing is lost in between
    this.#held.set(id, held)
    this.#latest.set(nodes.join(' '), held)
    this.#table.setSessions([held], [])
    return held
  }

  #side(): Side {
    let slot = 0
    while (slot === 0 || this.#slots.has(slot)) slot = randomInt(1, 2 ** 32)
    this.#slots.add(slot)
    return { slot, secret: randomBytes(32) }
  }

  #expire(nowMs: number): void {
    this.#drop((held) => held.expiresAtMs <= nowMs)
  }

  #drop(which: (held: Held) => boolean): void {
    const gone = [...this.#held.values()].filter(which)
    for (const held of gone) {
      this.#held.delete(held.id)
      const pair = held.nodes.join(' ')
      if (this.#latest.get(pair) === held) this.#latest.delete(pair)
      this.#slots.delete(held.a.slot)
      this.#slots.delete(held.b.slot)
    }
    if (gone.length > 0)
      this.#table.setSessions(
        [],
        gone.map(({ id }) => id),
      )
  }
}
