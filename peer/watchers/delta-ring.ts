import type { Delta } from '@ropewalk/shared/topology'

/** How much of the past is kept for watchers that come back. */
export interface DeltaRingLimits {
  /** Deltas; 1,024 unless said. */
  readonly deltas?: number
  /** Nodes, links and relays named in all of them together; 200,000 unless said. */
  readonly items?: number
}

/** The last deltas of one epoch, each following the one before. The oldest make room, by count and by size. */
export class DeltaRing {
  readonly #limits: Required<DeltaRingLimits>
  readonly #deltas: Delta[] = []
  #items = 0

  constructor({ deltas = 1_024, items = 200_000 }: DeltaRingLimits = {}) {
    this.#limits = { deltas, items }
  }

  /** Keeps the next delta. */
  push(delta: Delta): void {
    this.#deltas.push(delta)
    this.#items += itemsOf(delta)
    // the newest always stays: a watcher that is one step behind must not need a whole snapshot
    while (this.#deltas.length > 1 && (this.#deltas.length > this.#limits.deltas || this.#items > this.#limits.items)) {
      const oldest = this.#deltas.shift()
      if (oldest !== undefined) this.#items -= itemsOf(oldest)
    }
  }

  /** The deltas that lead from `sequence` to now; `undefined` when they are not all here any more, or never were. */
  since(sequence: number): readonly Delta[] | undefined {
    if (sequence === this.#deltas.at(-1)?.sequence) return []
    const from = this.#deltas.findIndex((delta) => delta.since === sequence)
    return from < 0 ? undefined : this.#deltas.slice(from)
  }
}

function itemsOf({ nodes, links, relays }: Delta): number {
  return [nodes, links, relays].reduce((sum, { set, removed }) => sum + set.length + removed.length, 0)
}
