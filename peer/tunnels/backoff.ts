/** Bounds of the wait between attempts, in milliseconds. */
export interface BackoffOptions {
  /** The longest wait while hope is fresh; the waits grow from it afterwards. */
  readonly firstMs: number
  readonly maxMs: number
  /** Attempts stay this close together for so long: most relays that die are back within a minute. */
  readonly eagerForMs: number
  /** 0 ≤ x < 1; a test gives its own. */
  readonly random?: () => number
  /** Milliseconds that never jump; a test gives its own. */
  readonly nowMs?: () => number
}

/** Waits with jitter: a thousand peers that lost the same relay do not come back at once. */
export interface Backoff {
  /** The wait before the next attempt, in milliseconds. The very first is 0. */
  next(): number
  /** It worked, or there is new hope: begin anew. */
  reset(): void
}

/** A fresh backoff: at most `firstMs` apart at first, then doubling to `maxMs`, each wait between half of it and all. */
export function createBackoff(options: BackoffOptions): Backoff {
  const { firstMs, maxMs, eagerForMs, random = Math.random, nowMs = () => performance.now() } = options
  let since: number | undefined
  let grown = 0
  return {
    next() {
      if (since === undefined) {
        since = nowMs()
        return 0
      }
      const most = nowMs() - since < eagerForMs ? firstMs : Math.min(maxMs, firstMs * 2 ** ++grown)
      return most * (0.5 + random() / 2)
    },
    reset() {
      since = undefined
      grown = 0
    },
  }
}
