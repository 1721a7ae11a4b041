import { RopewalkError } from '@ropewalk/shared/errors'
import { isLabel, type NetworkId, type SigningKey } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { MAX_CLUSTER_MEMBERS } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../../discovery/index.ts'
import type { Document, HiredCluster, OwedRelease } from '../../state/index.ts'
import type { Wish } from './choose.ts'
import { Cluster, type ClusterDependencies } from './cluster.ts'
import { newToken } from './cluster-record.ts'
import { type Ask, createOrders } from './orders.ts'
import { createOwedReleases, type OwedReleases } from './owed.ts'

const SWEEP_MS = 1_000

/** What somebody wants a cluster to be. */
export interface ClusterWish extends Wish {
  readonly name: string
  /** How many workers; left out where they are named. */
  readonly workers?: number | undefined
  readonly on?: readonly Member[] | undefined
  readonly forMs: number
}

export interface ClustersDependencies {
  readonly network: NetworkId
  readonly key: SigningKey
  readonly discovery: Pick<Discovery, 'members' | 'member' | 'self'>
  readonly ask: Ask
  readonly document: Document<readonly HiredCluster[]>
  readonly owed: Document<readonly OwedRelease[]>
  readonly logger: Logger
}

/** The clusters that this node hired. */
export interface Clusters extends Startable {
  list(): readonly Cluster[]
  /** @throws RopewalkError `not-found` */
  named(name: string): Cluster
  /** Begins a cluster and answers at once; how it goes on is seen in it. @throws RopewalkError for a wish that makes no sense */
  create(wish: ClusterWish): Cluster
  /** Hears of every change of what is kept of a cluster. */
  onChange(listener: () => void): () => void
}

/** The clusters of a state folder. */
export function createClusters(dependencies: ClustersDependencies): Clusters {
  return new HiredClusters(dependencies)
}

class HiredClusters implements Clusters {
  readonly #with: ClustersDependencies
  readonly #clusters = new Map<string, Cluster>()
  readonly #listeners = new Set<() => void>()
  readonly #life: Startable
  readonly #parts: ClusterDependencies
  readonly #owed: OwedReleases
  #sweep: NodeJS.Timeout | undefined

  constructor(dependencies: ClustersDependencies) {
    const { network, key, discovery, ask, logger } = dependencies
    this.#with = dependencies
    const keep = (name: string, record: HiredCluster | undefined) => this.#keep(name, record)
    const orders = createOrders(ask)
    this.#owed = createOwedReleases({ document: dependencies.owed, orders, discovery, logger })
    this.#parts = { network, key, discovery, logger, orders, keep, owed: this.#owed }
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

  list(): readonly Cluster[] {
    return [...this.#clusters.values()]
  }

  named(name: string): Cluster {
    const cluster = this.#clusters.get(name)
    if (cluster !== undefined) return cluster
    throw new RopewalkError('not-found', `No cluster “${name}” was hired here`, { hint: 'ropewalk cluster list' })
  }

  create(wish: ClusterWish): Cluster {
    const { name, on, forMs } = wish
    const workers = wish.workers ?? on?.length ?? 0
    const { self } = this.#with.discovery
    if (!isLabel(name)) throw new RopewalkError('bad-input', `“${name}” is no name: a–z, 0–9 and "-", at most 63`)
    if (!self.rights.includes('hire')) {
      throw new RopewalkError('missing-right', 'This node may not hire workers', {
        hint: 'ropewalk invite --hire makes a ticket that may',
      })
    }
    if (workers < 1 || workers > MAX_CLUSTER_MEMBERS) {
      throw new RopewalkError('bad-input', `A cluster has 1 to ${MAX_CLUSTER_MEMBERS} workers, not ${workers}`)
    }
    const before = this.#clusters.get(name)
    if (before !== undefined && before.phase !== 'failed') {
      throw new RopewalkError('conflict', `A cluster “${name}” is there already`, {
        hint: `ropewalk cluster show ${name}`,
      })
    }
    const nowMs = Date.now()
    const record: HiredCluster = {
      name,
      token: newToken(),
      createdAtMs: nowMs,
      notAfterMs: nowMs + forMs,
      wish: { tier: wish.tier, gpus: wish.gpus, cpus: wish.cpus, memoryMiB: wish.memoryMiB },
      wanted: 'life',
      size: workers,
      workers: [],
      events: [],
    }
    const cluster = new Cluster(record, 'creating', this.#parts)
    this.#clusters.set(name, cluster)
    cluster.create(on).catch(() => undefined) // it says so itself
    return cluster
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async #start(): Promise<void> {
    for (const record of (await this.#with.document.read()) ?? []) {
      const cluster = new Cluster(record, record.wanted === 'nothing' ? 'failed' : 'running', this.#parts)
      this.#clusters.set(record.name, cluster)
      if (record.wanted === 'life') cluster.resume()
      if (record.wanted === 'end') this.#end(cluster)
    }
    await this.#owed.start()
    this.#sweep = setInterval(() => this.#forgetOver(), SWEEP_MS).unref()
  }

  async #stop(): Promise<void> {
    clearInterval(this.#sweep)
    await Promise.all([this.#owed.stop(), ...this.list().map((cluster) => cluster.stop())])
  }

  /** The workers hold to the end by themselves. */
  #forgetOver(): void {
    const nowMs = Date.now()
    for (const cluster of this.list()) {
      if (cluster.record.notAfterMs <= nowMs && cluster.phase !== 'ending') this.#end(cluster)
    }
  }

  #end(cluster: Cluster): void {
    cluster.delete().catch((error: unknown) => {
      this.#with.logger.error('a cluster was not ended', { cluster: cluster.record.name, error })
    })
  }

  async #keep(name: string, record: HiredCluster | undefined): Promise<void> {
    if (record === undefined) this.#clusters.delete(name)
    for (const listener of this.#listeners) listener()
    await this.#with.document.update((clusters = []) => {
      const others = clusters.filter((one) => one.name !== name)
      return record === undefined ? others : [...others, record]
    })
  }
}
