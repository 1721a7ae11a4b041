import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { LeaseId, LeaseStanding } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../../discovery/index.ts'
import type { HiredCluster } from '../../state/index.ts'
import { ClusterRecord, type Keep, newToken, type Worker } from './cluster-record.ts'
import { Recruiter } from './recruiter.ts'
import { WorkerLeases, type WorkerLeasesDependencies } from './worker-leases.ts'

/** A lost worker's place stays empty this long when nobody fits, in ms. */
const REPLACE_EVERY_MS = 15_000

/** Where in its life a cluster is. */
export type ClusterPhase = 'creating' | 'running' | 'degraded' | 'failed' | 'ending'

export interface ClusterDependencies extends WorkerLeasesDependencies {
  readonly discovery: Pick<Discovery, 'members' | 'member' | 'self'>
  readonly keep: Keep
}

/** A cluster that this node hired: brings it up, watches over it, ends it. One thing at a time. */
export class Cluster {
  readonly #record: ClusterRecord
  readonly #with: ClusterDependencies
  readonly #leases: WorkerLeases
  readonly #recruiter: Recruiter
  readonly #watches = new Map<LeaseId, AbortController>()
  readonly #stopped = new AbortController()
  #phase: ClusterPhase
  #queue: Promise<unknown> = Promise.resolve()
  #replaceTimer: NodeJS.Timeout | undefined

  constructor(record: HiredCluster, phase: ClusterPhase, dependencies: ClusterDependencies) {
    this.#record = new ClusterRecord(record, dependencies)
    this.#phase = phase
    this.#with = dependencies
    this.#leases = new WorkerLeases(() => this.record, dependencies)
    this.#recruiter = new Recruiter({ record: this.#record, leases: this.#leases, discovery: dependencies.discovery })
  }

  get record(): HiredCluster {
    return this.#record.value
  }

  get phase(): ClusterPhase {
    return this.#phase
  }

  /** How a worker's lease stood when last heard of. */
  standing(worker: Worker): LeaseStanding | undefined {
    return this.#leases.standing(worker)
  }

  get head(): Worker | undefined {
    return this.#record.head
  }

  /** Hires the workers, as many as its size or those named, and starts Ray on them. @throws RopewalkError `no-workers`, or a worker's reason */
  create(on: readonly Member[] | undefined): Promise<void> {
    return this.#alone(async () => {
      try {
        await this.#bringUp(this.record.size, on)
      } catch (error) {
        const reason = toRopewalkError(error)
        this.#phase = 'failed'
        this.#record.say(reason.message)
        await this.#record.change({ wanted: 'nothing' })
        throw reason
      }
    })
  }

  /** Goes on after a restart of this peer: its leases run on, and a place that was empty is filled. */
  resume(): void {
    this.#phase = this.#record.workers.length < this.record.size ? 'degraded' : 'running'
    for (const worker of this.#record.workers) this.#watch(worker)
    this.#fillSoon()
  }

  /** Moves its end. @throws RopewalkError with the first worker's reason; the others keep what they took */
  extend(notAfterMs: number): Promise<void> {
    return this.#alone(async () => {
      await this.#recruiter.amend(notAfterMs)
      await this.#record.change({ notAfterMs })
      this.#record.say(`is hired until ${new Date(notAfterMs).toISOString()}`)
    })
  }

  add(member: Member | undefined): Promise<void> {
    return this.#alone(async () => {
      await this.#addOne(member === undefined ? undefined : [member])
      await this.#record.change({ size: this.record.size + 1 })
    })
  }

  remove(nodeId: NodeId): Promise<void> {
    return this.#alone(async () => {
      const name = this.#leases.name(nodeId)
      const worker = this.#record.workers.find((one) => one.nodeId === nodeId)
      if (worker === undefined) throw new RopewalkError('not-found', `${name} is not in that cluster`)
      if (worker.role === 'head') {
        throw new RopewalkError('conflict', `${name} is the head`, { hint: 'ropewalk cluster delete' })
      }
      await this.#record.change({ size: this.record.size - 1 })
      await this.#drop(worker)
      this.#record.say(`${name} was given back`)
    })
  }

  /** Gives all workers back. Says whose peers could not be told: there the lease ends by itself. */
  delete(): Promise<readonly string[]> {
    this.#beginEnd()
    return this.#alone(() => this.#end())
  }

  /** Stops watching; the workers' leases go on. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#replaceTimer)
    for (const watch of this.#watches.values()) watch.abort()
    await this.#queue
  }

  #alone<R>(work: () => Promise<R>): Promise<R> {
    const mine = this.#queue.then(work)
    this.#queue = mine.catch(() => undefined)
    return mine
  }

  #beginEnd(): void {
    this.#phase = 'ending'
    this.#stopped.abort()
  }

  /** All of them come up, or none. */
  async #bringUp(size: number, on: readonly Member[] | undefined): Promise<void> {
    try {
      await this.#recruiter.bringUp(size, on, this.#stopped.signal)
    } catch (error) {
      await this.#releaseAll()
      throw error
    }
    this.#phase = 'running'
    for (const worker of this.#record.workers) this.#watch(worker)
  }

  /** Follows a worker until it is lost or left. */
  #watch(worker: Worker): void {
    const abort = new AbortController()
    this.#watches.set(worker.lease, abort)
    const signal = AbortSignal.any([abort.signal, this.#stopped.signal])
    void this.#leases.untilLost(worker, signal).then((why) => {
      if (why === undefined) return
      this.#alone(() => this.#lose(worker, why)).catch((error: unknown) =>
        this.#with.logger.warn('a lost worker was not replaced', { error }),
      )
    })
  }

  async #lose(worker: Worker, why: string): Promise<void> {
    if (!this.#record.workers.some(({ lease }) => lease === worker.lease) || this.#stopped.signal.aborted) return
    this.#record.say(`${this.#leases.name(worker.nodeId)} is lost: ${why}`)
    if (Date.now() >= this.record.notAfterMs) return void (await this.#end())
    this.#phase = 'degraded'
    if (worker.role === 'head') return await this.#rebuild(worker)
    await this.#drop(worker)
    await this.#fill()
  }

  async #end(): Promise<readonly string[]> {
    this.#beginEnd()
    await this.#record.change({ wanted: 'end' }) // whatever happens now, it does not live again
    const untold = await this.#releaseAll()
    await this.#record.forget()
    return untold
  }

  /** The head holds what Ray knows: with it jobs, actors and objects are lost, and the others begin anew with another. */
  async #rebuild(head: Worker): Promise<void> {
    this.#record.say('with its head the cluster lost its jobs, actors and objects; it is built anew')
    const before = new Set(this.#record.workers.map(({ nodeId }) => nodeId))
    await this.#releaseAll()
    await this.#record.change({ token: newToken() })
    const pool = this.#recruiter
      .fitting()
      .filter(({ nodeId }) => nodeId !== head.nodeId)
      .sort((a, b) => Number(before.has(b.nodeId)) - Number(before.has(a.nodeId)))
    await this.#fill(pool)
  }

  /** Hires until the cluster has its size again, a head first; tries later where nobody fits now. */
  async #fill(heads = this.#recruiter.fitting()): Promise<void> {
    const { signal } = this.#stopped
    while (this.#record.workers.length < this.record.size && !signal.aborted) {
      try {
        if (this.head === undefined) await this.#bringUp(Math.max(1, Math.min(this.record.size, heads.length)), heads)
        else await this.#addOne(undefined)
      } catch (error) {
        if (signal.aborted) return
        this.#phase = 'degraded'
        this.#record.say(`no replacement yet: ${toRopewalkError(error).message}`)
        this.#replaceTimer = setTimeout(() => this.#fillSoon(), REPLACE_EVERY_MS).unref()
        return
      }
    }
    if (this.#phase === 'degraded') this.#phase = 'running'
  }

  #fillSoon(): void {
    this.#alone(() => this.#fill()).catch((error: unknown) =>
      this.#with.logger.error('a cluster was not filled', { error }),
    )
  }

  async #addOne(on: readonly Member[] | undefined): Promise<void> {
    this.#watch(await this.#recruiter.add(on, this.#stopped.signal))
  }

  async #drop(worker: Worker): Promise<void> {
    this.#watches.get(worker.lease)?.abort()
    this.#watches.delete(worker.lease)
    await this.#recruiter.drop(worker)
  }

  async #releaseAll(): Promise<string[]> {
    for (const watch of this.#watches.values()) watch.abort()
    this.#watches.clear()
    return await this.#recruiter.releaseAll()
  }
}
