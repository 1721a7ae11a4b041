import type { ForwardGrant } from '@ropewalk/shared/forward'
import type { NodeId } from '@ropewalk/shared/identity'

/** A session with a member through a relay, as this node holds it. */
export interface RelaySession {
  readonly relay: NodeId
  readonly peer: NodeId
  readonly grant: ForwardGrant
}

export interface RelaySessionsDependencies {
  /** Asks a relay for our side of a session; rejects when it refuses or cannot be reached. */
  readonly request: (relay: NodeId, peer: NodeId) => Promise<ForwardGrant>
  /** The set of sessions to this peer is another one now. */
  readonly changed: (peer: NodeId) => void
  /** From 0 to below 1. */
  readonly random: () => number
}

const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 30_000
const REQUESTS_AT_ONCE = 8

interface Entry {
  readonly relay: NodeId
  readonly peer: NodeId
  grant: ForwardGrant | undefined
  expiresAtMs: number
  nextAtMs: number
  failures: number
  busy: boolean
  /** The relay came back while a request to what it was before was on its way. */
  returned: boolean
}

/** Keeps a forwarder session with every peer through every relay, each renewed at half of its life. The clock is passed in. */
export class RelaySessions {
  readonly #dependencies: RelaySessionsDependencies
  readonly #entries = new Map<string, Entry>()

  constructor(dependencies: RelaySessionsDependencies) {
    this.#dependencies = dependencies
  }

  /** Sets which relays and peers there are; what is held of pairs that stay is kept. */
  configure(relays: readonly NodeId[], peers: readonly NodeId[], nowMs: number): void {
    const wanted = new Set<string>()
    for (const relay of relays) {
      for (const peer of peers) {
        if (peer === relay) continue
        const key = `${relay} ${peer}`
        wanted.add(key)
        if (this.#entries.has(key)) continue
        this.#entries.set(key, {
          relay,
          peer,
          grant: undefined,
          expiresAtMs: 0,
          nextAtMs: nowMs,
          failures: 0,
          busy: false,
          returned: false,
        })
      }
    }
    for (const [key, entry] of this.#entries) {
      if (wanted.has(key)) continue
      this.#entries.delete(key)
      if (entry.grant !== undefined) this.#dependencies.changed(entry.peer)
    }
  }

  /** A relay that came back is asked at once for what it refused or lost before. */
  relayReturned(relay: NodeId, nowMs: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.relay !== relay) continue
      entry.nextAtMs = nowMs
      entry.failures = 0
      entry.returned = entry.busy
    }
  }

  /** Sends the requests that are due; returns when to be called again. */
  poll(nowMs: number): number | undefined {
    let busy = [...this.#entries.values()].filter((entry) => entry.busy).length
    let next: number | undefined
    for (const entry of this.#entries.values()) {
      this.#expire(entry, nowMs)
      if (entry.busy) continue
      if (entry.nextAtMs <= nowMs && busy < REQUESTS_AT_ONCE) {
        busy += 1
        void this.#ask(entry, nowMs)
      } else {
        next = Math.min(next ?? entry.nextAtMs, entry.nextAtMs)
      }
    }
    return next
  }

  /** The sessions to a peer that are good now. */
  to(peer: NodeId): RelaySession[] {
    const found: RelaySession[] = []
    for (const entry of this.#entries.values()) {
      if (entry.peer === peer && entry.grant !== undefined) found.push({ relay: entry.relay, peer, grant: entry.grant })
    }
    return found
  }

  #expire(entry: Entry, nowMs: number): void {
    if (entry.grant === undefined || entry.expiresAtMs > nowMs) return
    entry.grant = undefined
    this.#dependencies.changed(entry.peer)
  }

  async #ask(entry: Entry, nowMs: number): Promise<void> {
    entry.busy = true
    try {
      const grant = await this.#dependencies.request(entry.relay, entry.peer)
      const other = entry.grant?.slot !== grant.slot
      entry.grant = grant
      entry.failures = 0
      entry.expiresAtMs = nowMs + grant.lifetimeMs
      entry.nextAtMs = nowMs + grant.lifetimeMs / 2 + 1_000
      if (other && this.#entries.get(`${entry.relay} ${entry.peer}`) === entry) this.#dependencies.changed(entry.peer)
    } catch {
      // the room that does the request logs why; here only the pace matters: full jitter, so that a relay's return is no stampede
      const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** entry.failures)
      entry.failures = Math.min(entry.failures + 1, 16)
      entry.nextAtMs = nowMs + Math.max(100, this.#dependencies.random() * ceiling)
    } finally {
      entry.busy = false
      if (entry.returned) entry.nextAtMs = nowMs
      entry.returned = false
    }
  }
}
