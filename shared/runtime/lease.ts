import { bytes, field, list, mapped, networkId, nodeId, struct, type TypeOf, text, uint } from '@ropewalk/shared/codec'
import { type Brand, type NodeId, publicKeyOf, type SigningKey, toHex } from '@ropewalk/shared/identity'
import { type Statement, statementKind } from '@ropewalk/shared/statement'
import { leasedDevices } from './resources.ts'

/** Most members of a cluster, the hirer not counted. */
export const MAX_CLUSTER_MEMBERS = 64

/** Most bytes of a lease. */
export const MAX_LEASE_BYTES = 4_096

/** A lease may begin and end this much beside the worker's clock, in ms: 10 min, as memberships may. */
export const LEASE_CLOCK_TOLERANCE_MS = 10 * 60_000

/** A lease's id: 16 random bytes as hexadecimal text. */
export type LeaseId = Brand<string, 'LeaseId'>

/** A lease id of 16 bytes. */
export function leaseIdOf(raw: Uint8Array): LeaseId {
  return toHex(raw) as LeaseId
}

/** A lease id on the wire: 16 bytes. */
export const leaseId = mapped(bytes(16), leaseIdOf, (id: LeaseId) => new Uint8Array(Buffer.from(id, 'hex')))

const body = struct({
  network: field(1, networkId),
  id: field(2, leaseId),
  /** 0 when the worker is hired; a later statement of the same lease (more time, other members) has a higher one. */
  seq: field(3, uint()),
  hirer: field(4, nodeId),
  worker: field(5, nodeId),
  /** What the hirer calls the cluster: for people only. */
  cluster: field(6, text(63, 1)),
  devices: field(7, leasedDevices),
  /** Node ids of all workers of the cluster, this one included. */
  members: field(8, list(nodeId, MAX_CLUSTER_MEMBERS)),
  notBeforeMs: field(9, uint()),
  notAfterMs: field(10, uint()),
})

/** One worker's part in a cluster: who hires what of it, with whom, for how long. The kind's name carries the version. */
export type Lease = TypeOf<typeof body>

const kind = statementKind<Lease>({ kind: 'lease', codec: body, maxBytes: MAX_LEASE_BYTES })

/** Signs a lease with the hirer's node key. @throws RopewalkError `too-large`, `bad-statement` */
export function signLease(lease: Omit<Lease, 'hirer'>, key: SigningKey): Statement<Lease> {
  return kind.sign({ ...lease, hirer: key.nodeId }, key)
}

/** Opens a lease signed by the hirer it names. @throws RopewalkError `bad-statement`, `bad-signature`, `too-large` */
export function openLease(raw: Uint8Array): Statement<Lease> {
  return kind.open(raw, ({ hirer }: { hirer: NodeId }) => [publicKeyOf(hirer)])
}
