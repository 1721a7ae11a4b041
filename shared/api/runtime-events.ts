import { z } from 'zod'
import { jobSchema, unaskedSchema } from './job-schema.ts'
import { clusterSchema, heldLeaseSchema } from './runtime-schema.ts'
import { versionSchema } from './schema.ts'

const sequence = z.number().int().nonnegative()
/** Milliseconds since 1970. */
const at = z.number()

/** Those that are new or not as they were, whole; and the ids of those that are gone. */
function changed<Item extends z.ZodType>(item: Item) {
  return z.strictObject({ set: z.array(item), removed: z.array(z.string()) })
}

/** The clusters that a node hired with their jobs, and the leases that it holds for others. */
export const runtimeSnapshotSchema = z.strictObject({
  version: versionSchema,
  /** Changes when the peer restarts: sequences of two epochs cannot be compared. */
  epoch: z.string(),
  sequence,
  at,
  clusters: z.array(clusterSchema),
  leases: z.array(heldLeaseSchema),
  /** As the heads told when they were last asked, which is every 2 s while somebody watches. */
  jobs: z.array(jobSchema),
  /** Clusters whose heads did not answer then; their jobs are as they were before. */
  unasked: z.array(unaskedSchema),
})
/** The clusters that a node hired with their jobs, and the leases that it holds for others. */
export type RuntimeSnapshot = z.infer<typeof runtimeSnapshotSchema>

/** What changed from sequence `since` to `sequence`. Clusters and `unasked` go by their names, jobs by `CLUSTER/ID`. */
export const runtimeDeltaSchema = z.strictObject({
  version: versionSchema,
  epoch: z.string(),
  since: sequence,
  sequence,
  at,
  clusters: changed(clusterSchema),
  leases: changed(heldLeaseSchema),
  jobs: changed(jobSchema),
  unasked: changed(unaskedSchema),
})
/** What changed between two snapshots. */
export type RuntimeDelta = z.infer<typeof runtimeDeltaSchema>
