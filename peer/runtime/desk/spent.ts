import type { Logger } from '@ropewalk/shared/logger'
import { LEASE_CLOCK_TOLERANCE_MS, type LeaseId } from '@ropewalk/shared/runtime'
import type { Document, SpentLease } from '../../state/index.ts'

/** How long after its end an id is still known, in ms: a day beyond all tolerance. */
const KEPT_MS = 24 * 3_600_000 + LEASE_CLOCK_TOLERANCE_MS

/** Ids of leases that were taken once: none is taken twice, across restarts too. */
export interface SpentLeases {
  has(id: LeaseId): boolean
  /** Remembers an id until it is long over. */
  note(id: LeaseId, notAfterMs: number): void
  /** Resolves when all that was noted is on disk. @throws RopewalkError when it cannot be kept */
  kept(): Promise<void>
}

/** The spent ids of a state folder. */
export async function openSpentLeases(document: Document<readonly SpentLease[]>, logger: Logger): Promise<SpentLeases> {
  const known = new Map<LeaseId, number>()
  for (const { id, notAfterMs } of (await document.read()) ?? []) known.set(id, notAfterMs)
  let writing: Promise<unknown> = Promise.resolve()
  const write = () => {
    const nowMs = Date.now()
    for (const [id, notAfterMs] of known) if (notAfterMs + KEPT_MS < nowMs) known.delete(id)
    return document.write([...known].map(([id, notAfterMs]) => ({ id, notAfterMs })))
  }
  return {
    has: (id) => known.has(id),
    note(id, notAfterMs) {
      known.set(id, Math.max(notAfterMs, known.get(id) ?? 0))
      writing = write()
      writing.catch((error: unknown) => logger.error('spent leases not kept', { error }))
    },
    async kept() {
      await writing
    },
  }
}
