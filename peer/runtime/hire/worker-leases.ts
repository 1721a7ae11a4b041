import { setTimeout as sleep } from 'node:timers/promises'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NetworkId, NodeId, SigningKey } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { type LeaseId, type LeaseStanding, signLease } from '@ropewalk/shared/runtime'
import type { Discovery } from '../../discovery/index.ts'
import type { HiredCluster } from '../../state/index.ts'
import type { Worker } from './cluster-record.ts'
import type { Head, Orders } from './orders.ts'
import type { OwedReleases } from './owed.ts'

/** A worker that has not answered for this long is lost, in ms: Ray gives a node up after 63 s, and cuts of 45 s lose nothing. */
const LOST_MS = 75_000
/** From the commit until a node is alive in its cluster, in ms. */
const START_TIMEOUT_MS = 120_000
const RETRY_MS = 1_000

export interface WorkerLeasesDependencies {
  readonly network: NetworkId
  readonly key: SigningKey
  readonly discovery: Pick<Discovery, 'member'>
  readonly orders: Orders
  readonly owed: Pick<OwedReleases, 'add'>
  readonly logger: Logger
}

/** The leases of one cluster: signs them, brings them to the workers, and knows how they stood when last heard of. */
export class WorkerLeases {
  readonly #with: WorkerLeasesDependencies
  readonly #record: () => HiredCluster
  readonly #standings = new Map<LeaseId, LeaseStanding>()

  constructor(record: () => HiredCluster, dependencies: WorkerLeasesDependencies) {
    this.#record = record
    this.#with = dependencies
  }

  standing({ lease }: Worker): LeaseStanding | undefined {
    return this.#standings.get(lease)
  }

  /** Its name, for people. */
  name(nodeId: NodeId): string {
    return this.#with.discovery.member(nodeId)?.name ?? nodeId
  }

  /** Has a worker keep its devices free, and gives it with its ports. @throws RopewalkError the worker's or the network's reason */
  async reserve(worker: Worker, members: readonly NodeId[]): Promise<Worker> {
    const lease = this.#sign(worker, members, this.#record().notAfterMs)
    const standing = await this.#with.orders.reserve(worker.nodeId, lease)
    this.#standings.set(worker.lease, standing)
    return { ...worker, ports: standing.ports }
  }

  /** Starts Ray on a worker; without a head it is the head. Resolves when it is alive. @throws RopewalkError why it is not */
  async start(worker: Worker, head: Head | undefined, signal: AbortSignal): Promise<void> {
    const name = this.name(worker.nodeId)
    const { token } = this.#record()
    let standing = await this.#with.orders.commit(worker.nodeId, worker.lease, { token, head })
    const limitMs = Date.now() + START_TIMEOUT_MS
    while (standing.state === 'starting') {
      if (Date.now() > limitMs) throw new RopewalkError('timeout', `Ray did not come up on ${name} in time`)
      standing = await this.#look(worker, 'starting', limitMs, signal)
    }
    this.#standings.set(worker.lease, standing)
    if (standing.state === 'running') return
    throw new RopewalkError('runtime-failed', `Ray did not start on ${name}: ${standing.note ?? standing.state}`, {
      hint: `on ${name}: ropewalk runtime status`,
    })
  }

  /** Follows a worker that runs. Resolves with the reason when it is lost, with nothing when nobody asks any more. */
  async untilLost(worker: Worker, signal: AbortSignal): Promise<string | undefined> {
    let heardAtMs = Date.now()
    while (!signal.aborted) {
      try {
        const standing = await this.#with.orders.look(worker.nodeId, worker.lease, 'running', signal)
        this.#standings.set(worker.lease, standing)
        heardAtMs = Date.now()
        if (standing.state !== 'running' && !signal.aborted) return standing.note ?? standing.state
      } catch (error) {
        if (signal.aborted) return undefined
        const reason = toRopewalkError(error)
        if (reason.exitCode !== 4) return reason.message
        if (Date.now() - heardAtMs > LOST_MS) return `it has not answered for ${LOST_MS / 1_000} s`
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined)
      }
    }
    return undefined
  }

  /** Tells workers who is in, and until when. @throws RopewalkError with the first reason, after all were asked */
  async amend(workers: readonly Worker[], notAfterMs: number): Promise<void> {
    const members = workers.map(({ nodeId }) => nodeId)
    const done = await Promise.allSettled(
      workers.map((worker) => this.#with.orders.amend(worker.nodeId, this.#sign(worker, members, notAfterMs))),
    )
    const failed = done.find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw toRopewalkError(failed.reason)
  }

  /** Gives a worker back; false where it could not be told: it is told when it is back, or the lease ends by itself. */
  async release({ nodeId, lease }: Worker): Promise<boolean> {
    try {
      await this.#with.orders.release(nodeId, lease)
      return true
    } catch (error) {
      const { code, message } = toRopewalkError(error)
      if (code === 'not-found') return true // it is over there already
      this.#with.logger.warn('a lease was not released', { lease, worker: this.name(nodeId), reason: message })
      await this.#with.owed.add({ nodeId, lease, notAfterMs: this.#record().notAfterMs })
      return false
    }
  }

  async #look(worker: Worker, unlike: string, limitMs: number, signal: AbortSignal): Promise<LeaseStanding> {
    for (;;) {
      try {
        return await this.#with.orders.look(worker.nodeId, worker.lease, unlike, signal)
      } catch (error) {
        const reason = toRopewalkError(error)
        if (reason.exitCode !== 4 || signal.aborted || Date.now() > limitMs) throw reason
        await sleep(RETRY_MS, undefined, { signal }) // a path that mends itself
      }
    }
  }

  #sign(worker: Worker, members: readonly NodeId[], notAfterMs: number): Uint8Array {
    const { network, key } = this.#with
    const { name, createdAtMs } = this.#record()
    const lease = {
      network,
      id: worker.lease,
      seq: worker.seq,
      worker: worker.nodeId,
      cluster: name,
      devices: worker.devices,
      members,
      notBeforeMs: createdAtMs,
      notAfterMs,
    }
    return signLease(lease, key).bytes
  }
}
