/** What stands beside each other: ours, the bare network, and others' programs by name. */
export type Contender = 'ours' | 'raw' | (string & {})

/** One figure of one contender: a median over the rounds, and for times the percentiles. */
export interface Figure {
  readonly value: number
  readonly p50?: number
  readonly p99?: number
}

/** What a bench measures of one contender in one round: a figure for each case. */
export type Round = Readonly<Record<string, Figure>>

/** Someone to measure. `measure` brings it up afresh, measures every case and takes it down. */
export interface Entrant {
  readonly name: Contender
  readonly version: string
  readonly measure: () => Promise<Round>
}

/** Who cannot be had, and why. */
export interface Absent {
  readonly name: Contender
  readonly missing: string
}

/** A bench: who takes part, what is measured. */
export interface Bench {
  readonly name: string
  readonly about: string
  readonly unit: string
  /** In the order of the table; the first one's figures are the bench's own. */
  readonly cases: readonly string[]
  /** What a reader of the figures must know. */
  readonly notes: readonly string[]
  /** Whether the smaller figure is the better one. */
  readonly less?: boolean
  /** Unless the caller says; 5 if it is absent. */
  readonly rounds?: number
  /** Finds out, builds and installs what is needed. */
  readonly entrants: () => Promise<readonly (Entrant | Absent)[]>
}
