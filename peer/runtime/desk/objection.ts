import { RopewalkError } from '@ropewalk/shared/errors'
import type { NetworkId, NodeId } from '@ropewalk/shared/identity'
import type { Right } from '@ropewalk/shared/membership'
import { LEASE_CLOCK_TOLERANCE_MS, type Lease, type LeasedDevices } from '@ropewalk/shared/runtime'

/** What a worker holds an order against. */
export interface WorkerView {
  readonly network: NetworkId
  readonly worker: NodeId
  /** Whose order it is, as the connection proved. */
  readonly from: { readonly nodeId: NodeId; readonly name: string; readonly rights: readonly Right[] }
  readonly nowMs: number
  readonly maxLeaseMs: number
}

/** Why a worker does not take a lease, whatever devices are free; nothing when it may. */
export function objectionToLease(lease: Lease, view: WorkerView): RopewalkError | undefined {
  const { from, nowMs, maxLeaseMs } = view
  if (lease.network !== view.network) return new RopewalkError('wrong-network', 'The lease is of another network')
  if (lease.worker !== view.worker) return new RopewalkError('wrong-key', 'The lease is for another worker')
  if (lease.hirer !== from.nodeId) return new RopewalkError('wrong-key', `The lease was not signed by ${from.name}`)
  if (!from.rights.includes('hire')) {
    return new RopewalkError('missing-right', `${from.name} may not hire workers`, {
      hint: 'ropewalk invite --hire makes a ticket that may',
    })
  }
  if (!lease.members.includes(view.worker)) {
    return new RopewalkError('bad-statement', 'The lease does not name this worker among the members')
  }
  if (new Set(lease.members).size !== lease.members.length) {
    return new RopewalkError('bad-statement', 'The lease names something twice')
  }
  if (lease.notAfterMs <= lease.notBeforeMs)
    return new RopewalkError('bad-statement', 'The lease ends before it begins')
  if (lease.notBeforeMs > nowMs + LEASE_CLOCK_TOLERANCE_MS) {
    return new RopewalkError('clock-skew', 'The lease begins in the future', {
      hint: 'compare the clocks of the two ends',
    })
  }
  if (lease.notAfterMs <= nowMs) return new RopewalkError('lease-expired', 'The lease is past its time')
  if (lease.notAfterMs - nowMs > maxLeaseMs + LEASE_CLOCK_TOLERANCE_MS) {
    const minutes = Math.floor(maxLeaseMs / 60_000)
    return new RopewalkError('lease-too-long', `This worker takes leases of at most ${minutes} minutes from now`)
  }
  return undefined
}

/** Why a later statement does not follow from the one that is held. */
export function objectionToAmendment(later: Lease, held: Lease): RopewalkError | undefined {
  if (later.seq <= held.seq) return new RopewalkError('stale-statement', 'A later statement of that lease is known')
  const same = later.cluster === held.cluster && JSON.stringify(later.devices) === JSON.stringify(held.devices)
  if (!same) return new RopewalkError('bad-statement', 'A lease keeps its cluster and its devices')
  return undefined
}

/** What a worker has in all. */
export interface Capacity {
  readonly cpus: number
  readonly memoryMiB: number
  readonly gpus: number
}

/** Why devices cannot be had beside those that are leased; nothing when they can. */
export function objectionToDevices(
  wanted: LeasedDevices,
  leased: readonly LeasedDevices[],
  capacity: Capacity,
): RopewalkError | undefined {
  const sum = (of: (devices: LeasedDevices) => number) => leased.reduce((all, devices) => all + of(devices), 0)
  const gpus = capacity.gpus - sum((devices) => devices.gpus)
  if (wanted.gpus > gpus) return new RopewalkError('devices-taken', `${gpus} of ${capacity.gpus} GPUs are free here`)
  const cpus = capacity.cpus - sum((devices) => devices.cpus)
  if (wanted.cpus > cpus) return new RopewalkError('devices-taken', `${cpus} of ${capacity.cpus} cores are free here`)
  const memoryMiB = capacity.memoryMiB - sum((devices) => devices.memoryMiB)
  if (wanted.memoryMiB > memoryMiB) {
    return new RopewalkError('devices-taken', `${memoryMiB} of ${capacity.memoryMiB} MiB of memory are free here`)
  }
  return undefined
}
