/** Fewest and most data connections an agent keeps ready. */
const MIN = 1
const MAX = 64
/** The rate is looked at over this span, in milliseconds. */
const SPAN_MS = 1000
/** Without a need for it the pool becomes smaller once in this time, in milliseconds. */
const SHRINK_MS = 10_000

/** How many data connections an agent should keep ready, by how streams arrive. Pure: the time is passed in. */
export interface PoolSize {
  /** A stream took a connection; `starved` when none was ready for it. */
  arrived(now: number, starved: boolean): void
  /** How many should be ready now. */
  wanted(now: number): number
}

/** Begins with one. */
export function createPoolSize(): PoolSize {
  let size = MIN
  let changedAt = 0
  let arrivals: number[] = []
  const recent = (now: number): number => {
    arrivals = arrivals.filter((at) => now - at < SPAN_MS)
    return arrivals.length
  }
  return {
    arrived(now, starved) {
      arrivals.push(now)
      // a quarter of a second's arrivals bridges the time that dialling new ones takes
      const byRate = Math.ceil(recent(now) / 4)
      const grown = Math.min(MAX, Math.max(byRate, starved ? size * 2 : size))
      if (grown > size || starved) changedAt = now
      size = grown
    },
    wanted(now) {
      if (size > MIN && now - changedAt >= SHRINK_MS) {
        changedAt = now
        size = Math.max(MIN, Math.ceil(recent(now) / 4), Math.floor(size / 2))
      }
      return size
    },
  }
}
