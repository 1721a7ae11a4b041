import type { ClusterView, HeldLease } from '@ropewalk/shared/api'
import type { Discovery } from './discovery/index.ts'
import type { Cluster, DeskLease } from './runtime/index.ts'

type Names = Pick<Discovery, 'member'>

/** A cluster as the API tells it. */
export function clusterView(discovery: Names, cluster: Cluster): ClusterView {
  const { record, phase } = cluster
  const { name, createdAtMs, notAfterMs, events } = record
  const workers = record.workers.map((worker) => {
    const member = discovery.member(worker.nodeId)
    const standing = cluster.standing(worker)
    return {
      name: member?.name ?? worker.nodeId,
      nodeId: worker.nodeId,
      address: member?.addresses.v4 ?? null,
      role: worker.role,
      state: standing?.state ?? null,
      note: standing?.note ?? null,
      rayNode: standing?.rayNode ?? null,
      lease: worker.lease,
      devices: worker.devices,
    }
  })
  return { name, state: phase, createdAtMs, notAfterMs, workers, events: [...events] }
}

/** A lease that this worker holds, as the API tells it. */
export function leaseView(discovery: Names, { lease, state, note, ports, gpus }: DeskLease): HeldLease {
  return {
    id: lease.id,
    cluster: lease.cluster,
    hirer: discovery.member(lease.hirer)?.name ?? lease.hirer,
    state,
    note: note ?? null,
    devices: lease.devices,
    gpus: [...gpus],
    firstPort: ports,
    notAfterMs: lease.notAfterMs,
  }
}
