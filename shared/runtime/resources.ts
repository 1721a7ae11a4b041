import { field, list, maybe, struct, type TypeOf, text, uint, word } from '@ropewalk/shared/codec'

/** Most GPUs of a worker. */
export const MAX_GPUS = 16

/** A worker's link class, by {@link tierOf}. */
export type Tier = 'low' | 'medium' | 'high' | 'ultra'

/** The tiers from the slowest to the fastest. */
export const TIERS = ['low', 'medium', 'high', 'ultra'] as const satisfies readonly Tier[]

const gpu = struct({
  /** As its driver calls it. */
  model: field(1, text(64, 1)),
  memoryMiB: field(2, uint(16_777_216)),
})

/** A GPU of a worker; its number is its place in the list. */
export type Gpu = TypeOf<typeof gpu>

/** What a worker offers to those who hire, on the wire: part of its signed record. */
export const offer = struct({
  /** Version of Ray that is installed. */
  ray: field(1, text(32, 1)),
  cpus: field(2, uint(4_096, 1)),
  memoryMiB: field(3, uint(67_108_864)),
  diskGiB: field(4, uint(1_048_576)),
  gpus: field(5, list(gpu, MAX_GPUS)),
  /** Absent until the link was measured. */
  tier: maybe(6, word(...TIERS)),
  /** Longest lease it takes, in minutes. */
  maxLeaseMinutes: field(7, uint(525_600, 1)),
  /** Leases that run now, so that those who hire ask elsewhere first; the worker decides all the same. */
  leases: field(8, uint(255)),
})

/** What a worker offers to those who hire. */
export type Offer = TypeOf<typeof offer>

const devices = struct({
  /** Whole cores; jobs are scheduled, and where the machine allows it held, to them. */
  cpus: field(1, uint(4_096, 1)),
  memoryMiB: field(2, uint(67_108_864, 1)),
  /** How many GPUs; which ones the worker chooses, and nobody else gets them meanwhile. */
  gpus: field(3, uint(MAX_GPUS)),
})

/** What of a worker a lease is about, on the wire. */
export const leasedDevices = devices

/** What of a worker a lease is about. */
export type LeasedDevices = TypeOf<typeof devices>
