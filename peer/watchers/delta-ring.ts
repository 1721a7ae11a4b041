/** A change as far as its place in the order goes: it leads from `since` to `sequence`. */
export interface Step {
  readonly since: number
  readonly sequence: number
}

/** How much of the past is kept for watchers that come back. */
export interface DeltaRingLimits {
  /** Deltas; 1,024 unless said. */
  readonly deltas?: number
  /** What is named in all of them together; 200,000 unless said. */
  readonly items?: number
}

/** The last deltas of one epoch, each following the one before. The oldest make room, by count and by size. */
export class DeltaRing<Delta extends Step> {
  readonly #itemsOf: (delta: Delta) => number
  readonly #limits: Required<DeltaRingLimits>
  readonly #deltas: Delta[] = []
  #items = 0

  constructor(itemsOf: (delta: Delta) => number, { deltas = 1_024, items = 200_000 }: DeltaRingLimits = {}) {
    this.#itemsOf = itemsOf
    this.#limits = { deltas, items }
  }

  /** Keeps the next delta. */
  push(delta: Delta): void {
    this.#deltas.push(delta)
    this.#items += this.#itemsOf(delta)
    // the newest always stays: a watcher that is one step behind must not need a whole snapshot
    while (this.#deltas.length > 1 && (this.#deltas.length > this.#limits.deltas || this.#items > this.#limits.items)) {
      const oldest = this.#deltas.shift()
      if (oldest !== undefined) this.#items -= this.#itemsOf(oldest)
    }
  }

  /** The deltas that lead from `sequence` to now; `undefined` when they are not all here any more, or never were. */
  since(sequence: number): readonly Delta[] | undefined {
    if (sequence === this.#deltas.at(-1)?.sequence) return []
    const from = this.#deltas.findIndex((delta) => delta.since === sequence)
    return from < 0 ? undefined : this.#deltas.slice(from)
  }
}

/** How many items a delta names in these lists. */
export function itemsIn(
  ...lists: readonly { readonly set: readonly unknown[]; readonly removed: readonly unknown[] }[]
) {
  return lists.reduce((sum, { set, removed }) => sum + set.length + removed.length, 0)
}
