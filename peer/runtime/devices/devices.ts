import { availableParallelism, totalmem } from 'node:os'
import { freeBytes } from '../install/index.ts'
import { type LocalGpu, probeGpus } from './gpus.ts'

/** What of this machine the peer may give to leases. */
export interface Devices {
  /** Cores that this process may use, by its affinity and its control group. */
  readonly cpus: number
  /** Memory of the machine, or of the control group where that has less. */
  readonly memoryMiB: number
  /** Free on the disk of the runtime's folder. */
  readonly diskGiB: number
  readonly gpus: readonly LocalGpu[]
}

export interface ProbeOptions {
  /** The runtime's folder; it need not be there. */
  readonly folder: string
  readonly signal?: AbortSignal | undefined
}

const MIB = 1_024 ** 2
const GIB = 1_024 ** 3

/** Looks at this machine. Takes as long as the GPUs' driver does, so ask rarely. */
export async function probeDevices({ folder, signal }: ProbeOptions): Promise<Devices> {
  const [free, gpus] = await Promise.all([freeBytes(folder), probeGpus({ signal })])
  return {
    cpus: availableParallelism(),
    memoryMiB: Math.floor(memoryBytes(totalmem(), process.constrainedMemory()) / MIB),
    diskGiB: Math.floor(free / GIB),
    gpus,
  }
}

/** The smaller of the machine's memory and the control group's limit; the kernel says “no limit” as 0 or as a huge number. */
export function memoryBytes(total: number, limit: number): number {
  return limit > 0 ? Math.min(total, limit) : total
}
