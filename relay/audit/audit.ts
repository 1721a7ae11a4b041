import type { AuditEntry } from '@ropewalk/shared/api'
import type { Logger } from '@ropewalk/shared/logger'

/** What happened, before it has its place in the log. */
export type AuditEvent = Omit<AuditEntry, 'id' | 'at' | 'details'> & {
  readonly details?: AuditEntry['details'] | undefined
  /** Whether the actor has proven who it is. Strangers have a smaller log of their own, so that their noise hides nothing. */
  readonly proven: boolean
}

export interface AuditOptions {
  /** Entries kept of proven actors; 10,000 unless said. */
  readonly provenEntries?: number
  /** Entries kept of strangers; 1,000 unless said. */
  readonly strangerEntries?: number
}

export interface AuditDependencies {
  /** Every entry is a line of the process's log too, which outlives the memory of this one. */
  readonly logger: Logger
  /** Milliseconds since 1970. */
  readonly nowMs: () => number
}

/** Who did what: the last entries, in memory. */
export interface Audit {
  record(event: AuditEvent): void
  /** All entries there are, oldest first; their ids sort in the same order. */
  entries(): AuditEntry[]
}

const ID_DIGITS = 17

/** An empty audit log. */
export function createAudit(options: AuditOptions, dependencies: AuditDependencies): Audit {
  const { logger, nowMs } = dependencies
  const proven = ring(options.provenEntries ?? 10_000)
  const strangers = ring(options.strangerEntries ?? 1_000)
  // ids go on rising across restarts, so that a reader's cursor never points into another start's entries
  let last = nowMs() * 1_000
  return {
    record({ proven: isProven, details = {}, ...event }) {
      const at = nowMs()
      last = Math.max(last + 1, at * 1_000)
      const entry = { id: String(last).padStart(ID_DIGITS, '0'), at, ...event, details }
      ;(isProven ? proven : strangers).push(entry)
      logger.info('audit', entry)
    },
    entries: () => [...proven.all(), ...strangers.all()].sort((a, b) => (a.id < b.id ? -1 : 1)),
  }
}

function ring(limit: number) {
  const slots: AuditEntry[] = []
  let next = 0
  return {
    push(entry: AuditEntry) {
      slots[next] = entry
      next = (next + 1) % limit
    },
    all: () => slots,
  }
}
