import { randomBytes } from 'node:crypto'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { type LeaseId, type LeaseStanding, leaseIdOf, MAX_CLUSTER_MEMBERS, rayPort } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../../discovery/index.ts'
import type { HiredCluster } from '../../state/index.ts'
import { candidates, devicesFor, refuseUnfit, tooFew, type Wish } from './choose.ts'
import type { Head } from './orders.ts'
import { type Worker, WorkerLeases, type WorkerLeasesDependencies } from './worker-leases.ts'

const EVENTS = 50
/** A lost worker's place stays empty this long when nobody fits, in ms. */
const REPLACE_EVERY_MS = 15_000

/** Where in its life a cluster is. */
export type ClusterPhase = 'creating' | 'running' | 'degraded' | 'failed' | 'ending'

export interface ClusterDependencies extends WorkerLeasesDependencies {
  readonly discovery: Pick<Discovery, 'members' | 'member' | 'self'>
  /** The record has changed: it is kept, or goes when there is none. */
  readonly keep: (name: string, record: HiredCluster | undefined) => Promise<void>
}

/** A cluster that this node hired: brings it up, watches over it, ends it. One thing at a time. */
export class Cluster {
  #record: HiredCluster
  readonly #with: ClusterDependencies
  readonly #leases: WorkerLeases
  readonly #watches = new Map<LeaseId, AbortController>()
  readonly #stopped = new AbortController()
  #phase: ClusterPhase
  #queue: Promise<unknown> = Promise.resolve()
  #size: number
  #replaceTimer: NodeJS.Timeout | undefined

  constructor(record: HiredCluster, phase: ClusterPhase, dependencies: ClusterDependencies) {
    this.#record = record
    this.#phase = phase
    this.#with = dependencies
    this.#leases = new WorkerLeases(() => this.#record, dependencies)
    this.#size = record.workers.length
  }

  get record(): HiredCluster {
    return this.#record
  }

  get phase(): ClusterPhase {
    return this.#phase
  }

  /** How a worker's lease stood when last heard of. */
  standing(worker: Worker): LeaseStanding | undefined {
    return this.#leases.standing(worker)
  }

  get head(): Worker | undefined {
    return this.#record.workers.find(({ role }) => role === 'head')
  }

  /** Hires the workers and starts Ray on them. @throws RopewalkError `no-workers`, or a worker's reason */
  create(size: number, on: readonly Member[] | undefined): Promise<void> {
    return this.#alone(async () => {
      this.#size = on?.length ?? size
      try {
        await this.#bringUp(on)
      } catch (error) {
        const reason = toRopewalkError(error)
        this.#phase = 'failed'
        this.#say(reason.message)
        await this.#releaseAll()
        await this.#keep({ workers: [] })
        throw reason
      }
    })
  }

  /** Goes on after a restart of this peer: its leases run on. */
  resume(): void {
    this.#phase = 'running'
    for (const worker of this.#record.workers) this.#watch(worker)
  }

  /** Moves its end. @throws RopewalkError with the first worker's reason; the others keep what they took */
  extend(notAfterMs: number): Promise<void> {
    return this.#alone(async () => {
      await this.#amendAll(this.#record.workers, notAfterMs)
      await this.#keep({ notAfterMs })
      this.#say(`is hired until ${new Date(notAfterMs).toISOString()}`)
    })
  }

  add(member: Member | undefined): Promise<void> {
    return this.#alone(async () => {
      await this.#addOne(member === undefined ? undefined : [member])
      this.#size += 1
    })
  }

  remove(nodeId: NodeId): Promise<void> {
    return this.#alone(async () => {
      const worker = this.#record.workers.find((one) => one.nodeId === nodeId)
      if (worker === undefined)
        throw new RopewalkError('not-found', `${this.#leases.name(nodeId)} is not in that cluster`)
      if (worker.role === 'head') {
        throw new RopewalkError('conflict', `${this.#leases.name(nodeId)} is the head`, {
          hint: 'ropewalk cluster delete',
        })
      }
      this.#size -= 1
      await this.#drop(worker)
      this.#say(`${this.#leases.name(nodeId)} was given back`)
    })
  }

  /** Gives all workers back. Says whose peers could not be told: there the lease ends by itself. */
  delete(): Promise<readonly string[]> {
    this.#phase = 'ending'
    this.#stopped.abort()
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

  async #bringUp(on: readonly Member[] | undefined): Promise<void> {
    const { discovery } = this.#with
    const wish = this.#wish
    if (on !== undefined) refuseUnfit(on, wish)
    const everybody = [discovery.self, ...discovery.members()]
    const pool = on ?? candidates(everybody, wish)
    if (pool.length < this.#size) throw tooFew(this.#size, everybody, wish)
    this.#say(`asking ${this.#size} of ${pool.length} fitting workers`)
    await this.#reserve(pool, this.#size)
    const [head, ...others] = this.#record.workers
    if (head === undefined) throw new RopewalkError('no-workers')
    await this.#startNode(head, undefined)
    const at = this.#headAddress()
    await Promise.all(others.map((worker) => this.#startNode(worker, at)))
    this.#phase = 'running'
    this.#say(`${this.#size} nodes are alive`)
    for (const worker of this.#record.workers) this.#watch(worker)
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
          throw new RopewalkError(
            'no-workers',
            `Only ${got.length} of ${size} workers could be had: ${refusals.join('; ')}`,
          )
        }
        const members = [...got.map(({ nodeId }) => nodeId), ...asked.map(({ nodeId }) => nodeId)]
        const answers = await Promise.all(asked.map((member) => this.#reserveOne(member, members, refusals)))
        got = [...got, ...answers.filter((worker) => worker !== undefined)]
      }
      got = got.map((worker, index) => ({ ...worker, role: index === 0 ? 'head' : 'worker' }))
      await this.#keep({ workers: [...this.#record.workers, ...got] })
      // those who were asked first were told of others who refused
      if (refusals.length > 0) await this.#amendAll(this.#record.workers, this.#record.notAfterMs)
    } catch (error) {
      await Promise.all(got.map((worker) => this.#leases.release(worker)))
      throw error
    }
  }

  async #reserveOne(member: Member, members: readonly NodeId[], refusals: string[]): Promise<Worker | undefined> {
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
      this.#say(`${member.name} refused: ${message}`)
      return undefined
    }
  }

  async #startNode(worker: Worker, head: Head | undefined): Promise<void> {
    const name = this.#leases.name(worker.nodeId)
    this.#say(`${name} starts Ray${head === undefined ? ' as the head' : ''}`)
    await this.#leases.start(worker, head, this.#stopped.signal)
    this.#say(`${name} is alive`)
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
    this.#say(`${this.#leases.name(worker.nodeId)} is lost: ${why}`)
    if (Date.now() >= this.#record.notAfterMs) return void (await this.#end())
    this.#phase = 'degraded'
    if (worker.role === 'head') return await this.#rebuild(worker)
    await this.#drop(worker)
    await this.#fill()
  }

  async #end(): Promise<readonly string[]> {
    this.#phase = 'ending'
    this.#stopped.abort()
    const untold = await this.#releaseAll()
    await this.#with.keep(this.#record.name, undefined)
    return untold
  }

  /** The head holds what Ray knows: with it jobs, actors and objects are lost, and the others begin anew with another. */
  async #rebuild(head: Worker): Promise<void> {
    this.#say(`with its head the cluster lost its jobs, actors and objects; it is built anew`)
    const others = this.#record.workers.filter(({ lease }) => lease !== head.lease)
    await this.#releaseAll()
    await this.#keep({ workers: [], token: newToken() })
    const free = candidates([this.#with.discovery.self, ...this.#with.discovery.members()], this.#wish)
    const before = new Set(others.map(({ nodeId }) => nodeId))
    const pool = free
      .filter(({ nodeId }) => nodeId !== head.nodeId)
      .sort((a, b) => Number(before.has(b.nodeId)) - Number(before.has(a.nodeId)))
    const size = Math.min(this.#size, pool.length)
    if (size === 0) {
      this.#phase = 'failed'
      return this.#say('no worker is left that fits')
    }
    const wanted = this.#size
    this.#size = size
    try {
      await this.#bringUp(pool.slice(0, size))
    } catch (error) {
      this.#phase = 'failed'
      this.#say(`it could not be built anew: ${toRopewalkError(error).message}`)
      await this.#releaseAll()
      await this.#keep({ workers: [] })
      return
    } finally {
      this.#size = wanted
    }
    await this.#fill()
  }

  /** Hires until the cluster has its size again; tries later where nobody fits now. */
  async #fill(): Promise<void> {
    while (this.#record.workers.length < this.#size && !this.#stopped.signal.aborted) {
      try {
        await this.#addOne(undefined)
      } catch (error) {
        this.#phase = 'degraded'
        this.#with.logger.info('no replacement yet', { reason: toRopewalkError(error).message })
        this.#replaceTimer = setTimeout(() => void this.#alone(() => this.#fill()), REPLACE_EVERY_MS).unref()
        return
      }
    }
    if (this.#phase === 'degraded') this.#phase = 'running'
  }

  async #addOne(on: readonly Member[] | undefined): Promise<void> {
    const { discovery } = this.#with
    if (this.#record.workers.length >= MAX_CLUSTER_MEMBERS) {
      throw new RopewalkError('limit-reached', `A cluster has at most ${MAX_CLUSTER_MEMBERS} workers`)
    }
    if (on !== undefined) refuseUnfit(on, this.#wish)
    const inIt = new Set(this.#record.workers.map(({ nodeId }) => nodeId))
    const everybody = [discovery.self, ...discovery.members()]
    const pool = (on ?? candidates(everybody, this.#wish)).filter(({ nodeId }) => !inIt.has(nodeId))
    const refusals: string[] = []
    let worker: Worker | undefined
    for (const member of pool) {
      worker = await this.#reserveOne(member, [...inIt, member.nodeId], refusals)
      if (worker !== undefined) break
    }
    if (worker === undefined) {
      throw new RopewalkError('no-workers', `No other worker could be had${refusals.map((one) => `; ${one}`).join('')}`)
    }
    try {
      await this.#keep({ workers: [...this.#record.workers, worker] })
      await this.#amendAll(this.#record.workers, this.#record.notAfterMs)
      await this.#startNode(this.#current(worker), this.#headAddress())
    } catch (error) {
      await this.#drop(worker)
      throw error
    }
    this.#watch(this.#current(worker))
  }

  async #drop(worker: Worker): Promise<void> {
    this.#watches.get(worker.lease)?.abort()
    this.#watches.delete(worker.lease)
    await this.#keep({ workers: this.#record.workers.filter(({ lease }) => lease !== worker.lease) })
    await Promise.all([
      this.#leases.release(worker),
      this.#amendAll(this.#record.workers, this.#record.notAfterMs).catch((error: unknown) =>
        // whoever could not be told goes on letting a node in that has left
        this.#with.logger.warn('a worker was not told who left', { reason: toRopewalkError(error).message }),
      ),
    ])
  }

  /** Tells all of them who is in, and until when. @throws RopewalkError with the first reason, after all were asked */
  async #amendAll(workers: readonly Worker[], notAfterMs: number): Promise<void> {
    const later = workers.map((worker) => ({ ...worker, seq: worker.seq + 1 }))
    await this.#keep({ workers: later })
    await this.#leases.amend(later, notAfterMs)
  }

  async #releaseAll(): Promise<string[]> {
    for (const watch of this.#watches.values()) watch.abort()
    this.#watches.clear()
    const told = await Promise.all(this.#record.workers.map((worker) => this.#leases.release(worker)))
    return this.#record.workers
      .filter((_, index) => told[index] === false)
      .map(({ nodeId }) => this.#leases.name(nodeId))
  }

  get #wish(): Wish {
    return this.#record.wish
  }

  #headAddress(): Head {
    const { head } = this
    const member = head === undefined ? undefined : this.#with.discovery.member(head.nodeId)
    if (head === undefined || member === undefined) throw new RopewalkError('unknown-peer', 'The head is not known')
    return { address: member.addresses.v4, port: rayPort(head.ports, 'gcs') }
  }

  #current({ lease }: Worker): Worker {
    const worker = this.#record.workers.find((one) => one.lease === lease)
    if (worker === undefined) throw new RopewalkError('not-found', 'That worker was given back meanwhile')
    return worker
  }

  #say(text: string): void {
    this.#with.logger.info(`cluster: ${text}`, { cluster: this.#record.name })
    void this.#keep({ events: [...this.#record.events, { atMs: Date.now(), text }].slice(-EVENTS) }).catch(
      () => undefined,
    )
  }

  async #keep(change: Partial<HiredCluster>): Promise<void> {
    this.#record = { ...this.#record, ...change }
    if (this.#phase !== 'ending') await this.#with.keep(this.#record.name, this.#record)
  }
}

/** A cluster's secret: 32 random bytes as hexadecimal text. */
export function newToken(): string {
  return randomBytes(32).toString('hex')
}
