import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NetworkId, NodeId } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Grant } from '@ropewalk/shared/policy'
import {
  BLOCK_PORTS,
  BLOCKS,
  decodeOrder,
  encodeReply,
  FIRST_BLOCK_PORT,
  type Lease,
  type LeaseId,
  type LeaseStanding,
  type Order,
  openLease,
} from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../../discovery/index.ts'
import { usedPorts } from '../sockets/index.ts'
import { HeldLease } from './held-lease.ts'
import type { Host } from './host.ts'
import { type Capacity, objectionToAmendment, objectionToDevices, objectionToLease } from './objection.ts'
import type { SpentLeases } from './spent.ts'

const TICK_MS = 500
/** How long a question about a lease waits for news, in ms. */
const LOOK_MS = 5_000
/** A lease that is over is still told of for a while, in ms. */
const REMEMBERED_MS = 60_000

export interface DeskOptions {
  readonly network: NetworkId
  readonly self: NodeId
  /** Longest lease, in ms from the time of the order. */
  readonly maxLeaseMs: number
}

export interface DeskDependencies {
  readonly discovery: Pick<Discovery, 'onChange'>
  readonly host: Host
  readonly spent: SpentLeases
  readonly capacity: () => Promise<Capacity>
  readonly logger: Logger
}

/** A lease as others of this machine may know it. */
export interface DeskLease extends LeaseStanding {
  readonly lease: Lease
}

/** The worker's end of leases: decides on orders as they come, and holds to their ends. */
export interface Desk extends Startable {
  leases(): readonly DeskLease[]
  /** Answers an order of a member whose key was proven. What it refuses is in the answer. */
  answer(order: Uint8Array, from: Member): Promise<Uint8Array>
  /** Ends the lease whose id begins so, as this worker's owner wants it. @throws RopewalkError `not-found`, `conflict` */
  end(id: string): Promise<void>
  /** What leases open here now, in the policy's words. */
  list(): readonly Grant[]
  /** Hears of every change of a lease. */
  onChange(listener: () => void): () => void
}

/** The desk of a worker. */
export function createDesk(options: DeskOptions, dependencies: DeskDependencies): Desk {
  return new LeaseDesk(options, dependencies)
}

class LeaseDesk implements Desk {
  readonly #options: DeskOptions
  readonly #with: DeskDependencies
  readonly #held = new Map<LeaseId, HeldLease>()
  readonly #overAtMs = new Map<LeaseId, number>()
  readonly #listeners = new Set<() => void>()
  readonly #undo: (() => void)[] = []
  readonly #life: Startable
  #stopping = false

  constructor(options: DeskOptions, dependencies: DeskDependencies) {
    this.#options = options
    this.#with = dependencies
    this.#life = startable({ start: () => this.#start(), stop: () => this.#stop() })
  }

  start(): Promise<void> {
    return this.#life.start()
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#life.stop()
  }

  leases(): readonly DeskLease[] {
    return [...this.#held.values()].map((held) => ({ lease: held.lease, ...held.standing }))
  }

  list(): readonly Grant[] {
    return [...this.#held.values()]
      .filter(({ isOpen }) => isOpen)
      .flatMap(({ lease, given: { ports }, opened }) => {
        const to = [lease.hirer, ...lease.members]
        const ranges: (readonly [number, number])[] = [[ports, ports + BLOCK_PORTS - 1], ...opened.map(single)]
        return ranges.map((range) => ({ to, ports: range }))
      })
  }

  async end(id: string): Promise<void> {
    const [held, more] = this.#taken().filter(({ lease }) => lease.id.startsWith(id))
    if (held === undefined) {
      throw new RopewalkError('not-found', `No lease ${id} runs here`, { hint: 'ropewalk runtime leases' })
    }
    if (more !== undefined) throw new RopewalkError('conflict', `Several leases begin with ${id}: say more of it`)
    await held.end('the worker’s owner ended it')
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #start(): void {
    const { discovery } = this.#with
    const timer = setInterval(() => this.#tick(), TICK_MS)
    this.#undo.push(
      () => clearInterval(timer),
      discovery.onChange((event) => {
        if (event.kind === 'revoked') this.#endOf(event.member.nodeId, 'its hirer is revoked')
      }),
    )
  }

  async #stop(): Promise<void> {
    this.#stopping = true
    for (const step of this.#undo.splice(0)) step()
    await Promise.all([...this.#held.values()].map((held) => held.end('the peer stops')))
    await this.#with.spent.kept().catch(() => undefined) // it was logged
  }

  async answer(raw: Uint8Array, from: Member): Promise<Uint8Array> {
    try {
      return encodeReply(await this.#carryOut(decodeOrder(raw), from))
    } catch (error) {
      const reason = toRopewalkError(error)
      const about = { from: from.name, code: reason.code, reason: reason.message }
      if (reason.code === 'internal') this.#with.logger.error('an order failed', { ...about, error })
      else this.#with.logger.info('an order was refused', about)
      return encodeReply(reason)
    }
  }

  async #carryOut(order: Order, from: Member): Promise<LeaseStanding> {
    switch (order.kind) {
      case 'reserve':
        return await this.#reserve(order.lease, from)
      case 'commit': {
        const held = this.#heldBy(order.id, from)
        held.commit(order)
        return held.standing
      }
      case 'amend':
        return this.#amend(order.lease, from)
      case 'look': {
        const held = this.#heldBy(order.id, from)
        if (order.unlike !== undefined) await held.otherThan(order.unlike, LOOK_MS)
        return held.standing
      }
      case 'release': {
        const held = this.#heldBy(order.id, from)
        await held.end('it was released')
        return held.standing
      }
    }
  }

  async #reserve(raw: Uint8Array, from: Member): Promise<LeaseStanding> {
    const { host, spent, capacity, logger } = this.#with
    const lease = this.#opened(raw, from)
    const known = this.#held.get(lease.id)
    // the answer may have been lost: the same order again is the same reservation
    if (known?.lease.hirer === from.nodeId && known.standing.state === 'reserved') return known.standing
    const cannot = await host.check()
    if (cannot !== undefined) throw cannot
    const [all, used] = await Promise.all([capacity(), usedPorts()])
    // from here to the entry nothing waits: of two orders at once the first gets it
    if (this.#stopping) throw new RopewalkError('draining', 'The peer stops')
    if (spent.has(lease.id)) throw new RopewalkError('lease-spent', 'That lease was used already')
    const taken = this.#taken()
    const objection = objectionToDevices(
      lease.devices,
      taken.map((held) => held.lease.devices),
      all,
    )
    if (objection !== undefined) throw objection
    const given = { ports: this.#freeBlock(used), gpus: freeGpus(lease.devices.gpus, taken, all.gpus) }
    const held = new HeldLease(lease, given, { host, logger, changed: () => this.#tell(), nowMs: Date.now() })
    this.#held.set(lease.id, held)
    spent.note(lease.id, lease.notAfterMs)
    await spent.kept() // or a restart would take it a second time
    logger.info('lease reserved', { lease: lease.id, cluster: lease.cluster, hirer: from.name, ...lease.devices })
    this.#tell()
    return held.standing
  }

  #amend(raw: Uint8Array, from: Member): LeaseStanding {
    const lease = this.#opened(raw, from)
    const held = this.#heldBy(lease.id, from)
    const objection = objectionToAmendment(lease, held.lease)
    if (objection !== undefined) throw objection
    this.#with.spent.note(lease.id, lease.notAfterMs)
    held.amend(lease)
    return held.standing
  }

  #opened(raw: Uint8Array, from: Member): Lease {
    const { network, self, maxLeaseMs } = this.#options
    const { body } = openLease(raw)
    const objection = objectionToLease(body, { network, worker: self, from, nowMs: Date.now(), maxLeaseMs })
    if (objection !== undefined) throw objection
    return body
  }

  #heldBy(id: LeaseId, from: Member): HeldLease {
    const held = this.#held.get(id)
    if (held?.lease.hirer === from.nodeId) return held
    throw new RopewalkError('not-found', 'This worker holds no such lease of yours')
  }

  /** Leases whose devices are not free: until nothing of them is left. */
  #taken(): HeldLease[] {
    return [...this.#held.values()].filter(({ standing }) => standing.state !== 'over')
  }

  /** One that no lease has and where nobody listens, this peer itself above all: a lease closes its block to others. */
  #freeBlock(used: ReadonlySet<number>): number {
    const held = new Set(this.#taken().map(({ given }) => given.ports))
    for (const port of used) held.add(port - (port % BLOCK_PORTS))
    const blocks = Array.from({ length: BLOCKS }, (_, index) => FIRST_BLOCK_PORT + index * BLOCK_PORTS)
    const free = blocks.find((ports) => !held.has(ports))
    if (free === undefined)
      throw new RopewalkError('limit-reached', `No block of ${BLOCK_PORTS} ports is free on this worker`)
    return free
  }

  #endOf(hirer: NodeId, why: string): void {
    for (const held of this.#held.values()) if (held.lease.hirer === hirer) void held.end(why)
  }

  #tick(): void {
    const nowMs = Date.now()
    for (const [id, held] of this.#held) {
      const why = held.objection(nowMs)
      if (why !== undefined) void held.end(why)
      void held.lookForPorts()
      if (held.standing.state !== 'over') continue
      const overAtMs = this.#overAtMs.get(id) ?? nowMs
      this.#overAtMs.set(id, overAtMs)
      if (nowMs - overAtMs < REMEMBERED_MS) continue
      this.#held.delete(id)
      this.#overAtMs.delete(id)
    }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

function single(port: number): readonly [number, number] {
  return [port, port]
}

/** The lowest numbers that no lease has. */
function freeGpus(count: number, taken: readonly HeldLease[], all: number): number[] {
  const held = new Set(taken.flatMap(({ given }) => given.gpus))
  return Array.from({ length: all }, (_, gpu) => gpu)
    .filter((gpu) => !held.has(gpu))
    .slice(0, count)
}
