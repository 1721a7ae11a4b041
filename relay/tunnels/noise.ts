/** How much is written down about those who have proven nothing. */
export interface NoiseLimits {
  /** Lines at once; 60 unless said. */
  readonly burst?: number
  /** Lines a minute after that; 60 unless said. */
  readonly perMinute?: number
  /** Milliseconds that never jump; a test gives its own. */
  readonly nowMs?: () => number
}

/** Lets so many lines about strangers pass and counts the others: a flood of refusals must not fill a disk. */
export interface NoiseLimit {
  /** How many were left out since the last that passed; `undefined` when this one is left out as well. */
  pass(): number | undefined
}

/** All lines are there still. */
export function createNoiseLimit({
  burst = 60,
  perMinute = 60,
  nowMs = () => performance.now(),
}: NoiseLimits = {}): NoiseLimit {
  let left = burst
  let filledAt = nowMs()
  let skipped = 0
  return {
    pass() {
      const now = nowMs()
      left = Math.min(burst, left + ((now - filledAt) * perMinute) / 60_000)
      filledAt = now
      if (left < 1) {
        skipped++
        return undefined
      }
      left--
      const told = skipped
      skipped = 0
      return told
    },
  }
}
