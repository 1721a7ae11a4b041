import { z } from 'zod'
import { LEASE_STATES, TIERS } from '../runtime/index.ts'
import { versionSchema } from './schema.ts'

/** Name of a cluster: as a host name's part. */
export const clusterNameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'a cluster’s name is a–z, 0–9 and "-", at most 63')

const tierSchema = z.enum(TIERS)
const time = z.number().int().nonnegative()
const count = z.number().int().nonnegative()

/** What of a worker is leased. */
export const leasedDevicesSchema = z.strictObject({ cpus: count, memoryMiB: count, gpus: count })

/** A worker of a cluster. */
export const clusterWorkerSchema = z.strictObject({
  name: z.string(),
  nodeId: z.string(),
  address: z.string().nullable(),
  role: z.enum(['head', 'worker']),
  state: z.enum(LEASE_STATES).nullable(),
  note: z.string().nullable(),
  rayNode: z.string().nullable(),
  lease: z.string(),
  devices: leasedDevicesSchema,
})

/** A cluster that this node hired. */
export const clusterSchema = z.strictObject({
  name: z.string(),
  state: z.enum(['creating', 'running', 'degraded', 'failed', 'ending']),
  createdAtMs: time,
  notAfterMs: time,
  workers: z.array(clusterWorkerSchema),
  events: z.array(z.strictObject({ atMs: time, text: z.string() })),
})
/** A cluster that this node hired. */
export type ClusterView = z.infer<typeof clusterSchema>

/** What stock Ray tools need to reach a cluster; the token is its secret. */
export const clusterAccessSchema = z.strictObject({
  version: versionSchema,
  name: z.string(),
  head: z.strictObject({
    name: z.string(),
    nodeId: z.string(),
    address: z.string(),
    gcsPort: z.number().int(),
    dashboardPort: z.number().int(),
    clientPort: z.number().int(),
  }),
  token: z.string(),
})
/** What stock Ray tools need to reach a cluster. */
export type ClusterAccess = z.infer<typeof clusterAccessSchema>

/** What `cluster create` asks for. */
export const clusterWishSchema = z
  .strictObject({
    name: clusterNameSchema,
    workers: z.number().int().min(1).max(64).optional(),
    /** Names or node ids. */
    on: z.array(z.string().min(1).max(128)).min(1).max(64).optional(),
    tier: tierSchema.optional(),
    /** GPUs, whole cores and MiB of each worker; all that it has where nothing is said (memory: three quarters). */
    gpus: count.max(16).optional(),
    cpus: z.number().int().min(1).optional(),
    memoryMiB: z.number().int().min(1).optional(),
    forMs: z
      .number()
      .int()
      .min(1_000)
      .max(366 * 86_400_000),
  })
  .refine(({ workers, on }) => (workers === undefined) !== (on === undefined), 'say how many workers, or which ones')

/** A worker and what it offers to those who hire. */
export const deviceSchema = z.strictObject({
  name: z.string(),
  nodeId: z.string(),
  state: z.enum(['online', 'silent', 'gone', 'revoked']),
  ray: z.string(),
  cpus: count,
  memoryMiB: count,
  diskGiB: count,
  gpus: z.array(z.strictObject({ model: z.string(), memoryMiB: count })),
  /** Null until its link was measured. */
  tier: tierSchema.nullable(),
  maxLeaseMinutes: count,
  leases: count,
})
/** A worker and what it offers to those who hire. */
export type DeviceView = z.infer<typeof deviceSchema>

/** A lease that this worker holds for somebody. */
export const heldLeaseSchema = z.strictObject({
  id: z.string(),
  cluster: z.string(),
  hirer: z.string(),
  state: z.enum(LEASE_STATES),
  note: z.string().nullable(),
  devices: leasedDevicesSchema,
  /** Numbers of the GPUs that it has. */
  gpus: z.array(count),
  firstPort: z.number().int(),
  notAfterMs: time,
})

/** A lease that this worker holds for somebody. */
export type HeldLease = z.infer<typeof heldLeaseSchema>

/** What a peer offers to those who hire. */
export const runtimeSchema = z.strictObject({
  version: versionSchema,
  /** Whether others can hire this worker: a runtime is installed, and this machine was looked at. */
  offered: z.boolean(),
  /** Longest lease it takes, in minutes; null where nothing is offered, as is the next. */
  maxLeaseMinutes: z.int().nullable(),
  /** Leases that run now. */
  leases: z.int().nullable(),
  /** Null until it was measured. */
  link: z
    .strictObject({
      tier: z.enum(TIERS),
      upMbps: z.number().nonnegative(),
      downMbps: z.number().nonnegative(),
      /** Wall clock, ms since 1970. */
      measuredAtMs: z.int().nonnegative(),
      /** Names of the members it was measured with. */
      with: z.array(z.string()),
    })
    .nullable(),
})
/** What a peer offers to those who hire. */
export type RuntimeView = z.infer<typeof runtimeSchema>
