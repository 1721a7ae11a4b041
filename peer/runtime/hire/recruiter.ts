import { randomBytes } from 'node:crypto'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { leaseIdOf, MAX_CLUSTER_MEMBERS, rayPort } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../../discovery/index.ts'
import { candidates, devicesFor, refuseUnfit, tooFew } from './choose.ts'
import type { ClusterRecord, Worker } from './cluster-record.ts'
import type { Head } from './orders.ts'
import type { WorkerLeases } from './worker-leases.ts'

export interface RecruiterDependencies {
  readonly record: ClusterRecord
  readonly leases: WorkerLeases
  readonly discovery: Pick<Discovery, 'members' | 'member' | 'self'>
}

/** Finds workers for a cluster, hires them and starts Ray on them. All of its work ends in the cluster's record. */
export class Recruiter {
  readonly #record: ClusterRecord
  readonly #leases: WorkerLeases
  readonly #discovery: RecruiterDependencies['discovery']

  constructor({ record, leases, discovery }: RecruiterDependencies) {
    this.#record = record
    this.#leases = leases
    this.#discovery = discovery
  }

  /** Those who fit, the best first. */
  fitting(): Member[] {
    return candidates(this.#everybody(), this.#wish)
  }

  /** Hires so many at once, of those named or of all who fit, and starts Ray on them: a head, then the others.
   *  @throws RopewalkError `no-workers`, or a worker's reason; what was hired then is in the record */
  async bringUp(size: number, on: readonly Member[] | undefined, signal: AbortSignal): Promise<void> {
    if (on !== undefined) refuseUnfit(on, this.#wish)
    const pool = on ?? this.fitting()
    if (pool.length < size) throw tooFew(size, this.#everybody(), this.#wish)
    this.#record.say(`asking ${size} of ${pool.length} fitting workers`)
    await this.#reserve(pool, size)
    const [head, ...others] = this.#record.workers
    if (head === undefined) throw new RopewalkError('no-workers')
    await this.#start(head, undefined, signal)
    const at = this.#headAddress()
    await Promise.all(others.map((worker) => this.#start(worker, at, signal)))
    this.#record.say(`${size} nodes are alive`)
  }

  /** Hires one more, one of those named or the best that fits, and starts Ray on it.
   *  @throws RopewalkError `no-workers`, `limit-reached`, or the worker's reason */
  async add(on: readonly Member[] | undefined, signal: AbortSignal): Promise<Worker> {
    if (this.#record.workers.length >= MAX_CLUSTER_MEMBERS) {
      throw new RopewalkError('limit-reached', `A cluster has at most ${MAX_CLUSTER_MEMBERS} workers`)
    }
    if (on !== undefined) refuseUnfit(on, this.#wish)
    const inIt = new Set(this.#record.workers.map(({ nodeId }) => nodeId))
    const pool = (on ?? this.fitting()).filter(({ nodeId }) => !inIt.has(nodeId))
    const worker = await this.#first(pool, [...inIt])
    try {
      await this.#record.change({ workers: [...this.#record.workers, worker] })
      await this.amend()
      await this.#start(this.#record.current(worker), this.#headAddress(), signal)
    } catch (error) {
      await this.drop(worker)
      throw error
    }
    return this.#record.current(worker)
  }

  /** Gives a worker back, and tells the others that it has left. */
  async drop(worker: Worker): Promise<void> {
    await this.#record.change({ workers: this.#record.workers.filter(({ lease }) => lease !== worker.lease) })
    await Promise.all([
      this.#leases.release(worker),
      this.amend().catch((error: unknown) =>
        // whoever could not be told goes on letting a node in that has left
        this.#record.say(`a worker was not told who left: ${toRopewalkError(error).message}`),
      ),
    ])
  }

  /** Tells all of them who is in, and until when. @throws RopewalkError with the first reason, after all were asked */
  async amend(notAfterMs = this.#record.value.notAfterMs): Promise<void> {
    const later = this.#record.workers.map((worker) => ({ ...worker, seq: worker.seq + 1 }))
    await this.#record.change({ workers: later })
    await this.#leases.amend(later, notAfterMs)
  }

  /** Gives all back. Names those that could not be told. */
  async releaseAll(): Promise<string[]> {
    const { workers } = this.#record
    const told = await Promise.all(workers.map((worker) => this.#leases.release(worker)))
    await this.#record.change({ workers: [] })
    return workers.filter((_, index) => told[index] === false).map(({ nodeId }) => this.#leases.name(nodeId))
  }

  /** Reserves so many of the pool; whoever refuses is replaced by the next. All of them end in the record, or none. */
  async #reserve(pool: readonly Member[], size: number): Promise<void> {
    const left = [...pool]
    const refusals: string[] = []
    let got: Worker[] = []
    try {
      while (got.length < size) {
        const asked = left.splice(0, size - got.length)
        if (asked.length < size - got.length) {
          const why = `Only ${got.length} of ${size} workers could be had: ${refusals.join('; ')}`
          throw new RopewalkError('no-workers', why)
        }
        const members = [...got.map(({ nodeId }) => nodeId), ...asked.map(({ nodeId }) => nodeId)]
        const answers = await Promise.all(asked.map((member) => this.#ask(member, members, refusals)))
        got = [...got, ...answers.filter((worker) => worker !== undefined)]
      }
      got = got.map((worker, index) => ({ ...worker, role: index === 0 ? 'head' : 'worker' }))
      await this.#record.change({ workers: [...this.#record.workers, ...got] })
      // those who were asked first were told of others who refused
      if (refusals.length > 0) await this.amend()
    } catch (error) {
      await Promise.all(got.map((worker) => this.#leases.release(worker)))
      throw error
    }
  }

  /** The first of the pool that does not refuse. @throws RopewalkError `no-workers` */
  async #first(pool: readonly Member[], members: readonly NodeId[]): Promise<Worker> {
    const refusals: string[] = []
    for (const member of pool) {
      const worker = await this.#ask(member, [...members, member.nodeId], refusals)
      if (worker !== undefined) return worker
    }
    throw new RopewalkError('no-workers', `No other worker could be had${refusals.map((one) => `; ${one}`).join('')}`)
  }

  async #ask(member: Member, members: readonly NodeId[], refusals: string[]): Promise<Worker | undefined> {
    const offer = member.record?.offer
    if (offer === undefined) return undefined
    const worker = {
      nodeId: member.nodeId,
      lease: leaseIdOf(randomBytes(16)),
      role: 'worker' as const,
      ports: 0,
      seq: 0,
      devices: devicesFor(offer, this.#wish),
    }
    try {
      return await this.#leases.reserve(worker, members)
    } catch (error) {
      const { message } = toRopewalkError(error)
      refusals.push(`${member.name}: ${message}`)
      this.#record.say(`${member.name} refused: ${message}`)
      return undefined
    }
  }

  async #start(worker: Worker, head: Head | undefined, signal: AbortSignal): Promise<void> {
    const name = this.#leases.name(worker.nodeId)
    this.#record.say(`${name} starts Ray${head === undefined ? ' as the head' : ''}`)
    await this.#leases.start(worker, head, signal)
    this.#record.say(`${name} is alive`)
  }

  #headAddress(): Head {
    const { head } = this.#record
    const member = head === undefined ? undefined : this.#discovery.member(head.nodeId)
    if (head === undefined || member === undefined) throw new RopewalkError('unknown-peer', 'The head is not known')
    return { address: member.addresses.v4, port: rayPort(head.ports, 'gcs') }
  }

  #everybody(): Member[] {
    return [this.#discovery.self, ...this.#discovery.members()]
  }

  get #wish() {
    return this.#record.value.wish
  }
}
