import type { MeshAddress } from '@ropewalk/shared/addressing'
import type { NodeId } from '@ropewalk/shared/identity'
import { decodeReply, encodeOrder, type LeaseId, type LeaseStanding, type Order } from '@ropewalk/shared/runtime'

/** For most orders, in ms. */
const TIMEOUT_MS = 10_000
/** A question waits for news at the worker, in ms. */
const LOOK_TIMEOUT_MS = 12_000

/** Orders to workers, each answered by how the lease stands. All throw RopewalkError with the worker's or the network's reason. */
export interface Orders {
  reserve(worker: NodeId, lease: Uint8Array): Promise<LeaseStanding>
  commit(worker: NodeId, id: LeaseId, brings: { token: string; head?: Head | undefined }): Promise<LeaseStanding>
  amend(worker: NodeId, lease: Uint8Array): Promise<LeaseStanding>
  /** Waits some seconds for another state than `unlike`. */
  look(worker: NodeId, id: LeaseId, unlike?: string, signal?: AbortSignal): Promise<LeaseStanding>
  release(worker: NodeId, id: LeaseId): Promise<LeaseStanding>
}

/** Where the head of a cluster listens. */
export interface Head {
  readonly address: MeshAddress
  readonly port: number
}

/** Brings an order to a worker, over a connection on which both ends have proven their keys, and its answer back. */
export type Ask = (to: NodeId, order: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>

/** Orders over such connections. */
export function createOrders(bring: Ask): Orders {
  const ask = async (to: NodeId, order: Order, timeoutMs = TIMEOUT_MS, signal?: AbortSignal) => {
    const timeout = AbortSignal.timeout(timeoutMs)
    const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    return decodeReply(await bring(to, encodeOrder(order), either))
  }
  return {
    reserve: (worker, lease) => ask(worker, { kind: 'reserve', lease }),
    commit: (worker, id, { token, head }) => ask(worker, { kind: 'commit', id, token, head }),
    amend: (worker, lease) => ask(worker, { kind: 'amend', lease }),
    look: (worker, id, unlike, signal) => ask(worker, { kind: 'look', id, unlike }, LOOK_TIMEOUT_MS, signal),
    release: (worker, id) => ask(worker, { kind: 'release', id }),
  }
}
