/** Changes come in swarms when a network forms; one look answers all of a swarm. In milliseconds. */
const SOON_MS = 100
/** Memberships come to their end by time too, which no change tells. In milliseconds. */
const PERIOD_MS = 30_000

/** Looks again at who may stay: soon after changes, and from time to time. */
export interface Reviewer {
  /** Something has changed. */
  soon(): void
  stop(): void
}

/** Begins at once; `review` is called at most once in 100 ms. */
export function createReviewer(review: () => void): Reviewer {
  let pending: NodeJS.Timeout | undefined
  const period = setInterval(review, PERIOD_MS).unref()
  return {
    soon() {
      pending ??= setTimeout(() => {
        pending = undefined
        review()
      }, SOON_MS).unref()
    },
    stop() {
      clearInterval(period)
      clearTimeout(pending)
    },
  }
}
