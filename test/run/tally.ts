import { dirname } from 'node:path'

/** The checkout's top folder. */
export const root = dirname(dirname(import.meta.dirname))

/** What a part of the tests came to. */
export interface Tally {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  /** What a reader of the numbers must know. */
  readonly notes: readonly string[]
}

export interface RunOptions {
  /** The long proofs as well. */
  readonly slow: boolean
  /** Parts of test files' paths; none means all. */
  readonly filters: readonly string[]
}
