/** Bounds of the wait between attempts, in milliseconds. */
export interface BackoffOptions {
  readonly firstMs: number
  readonly maxMs: number
  /** 0 ≤ x < 1; a test gives its own. */
  readonly random?: () => number
}

/** Waits that double, with full jitter: a thousand peers that lost the same relay do not come back at once. */
export interface Backoff {
  /** The wait before the next attempt, in milliseconds. The very first is 0. */
  next(): number
  /** It worked: begin anew. */
  reset(): void
}

/** A fresh backoff. */
export function createBackoff({ firstMs, maxMs, random = Math.random }: BackoffOptions): Backoff {
  let attempts = 0
  return {
    next() {
      const attempt = attempts++
      return attempt === 0 ? 0 : random() * Math.min(maxMs, firstMs * 2 ** (attempt - 1))
    },
    reset() {
      attempts = 0
    },
  }
}
