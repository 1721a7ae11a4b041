import type { Job, RuntimeDelta, RuntimeSnapshot, Unasked } from '@ropewalk/shared/api'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Discovery } from './discovery/index.ts'
import { listJobs } from './job-handlers.ts'
import type { Runtime } from './runtime/index.ts'
import { clusterView, leaseView } from './runtime-picture.ts'
import { DeltaRing, itemsIn, type Mark, type Watched } from './watchers/index.ts'

/** Changes that come together become one delta, in ms. */
const GATHER_MS = 50
/** What changes without a word (how a lease stands) is looked at this often while somebody watches, in ms. */
const LOOK_EVERY_MS = 1_000
/** Ray tells nothing by itself: while somebody watches its heads are asked this often, in ms. */
const ASK_EVERY_MS = 2_000
/** For watchers that come back. */
const DELTAS_KEPT = 256

const LISTS = ['clusters', 'leases', 'jobs', 'unasked'] as const
type List = (typeof LISTS)[number]
type Item<L extends List = List> = RuntimeSnapshot[L][number]
type Picture = { readonly [L in List]: ReadonlyMap<string, Item<L>> }

export interface RuntimeEventsDependencies {
  readonly discovery: Pick<Discovery, 'member'>
  readonly runtime: Pick<Runtime, 'clusters' | 'desk' | 'jobs'>
  /** Random for each start of the process. */
  readonly epoch: string
  readonly nowMs: () => number
}

/** Clusters, leases and jobs of this node, as they change. */
export type RuntimeEvents = Startable & Watched<RuntimeSnapshot, RuntimeDelta>

/** Asks nobody until somebody watches. */
export function createRuntimeEvents(dependencies: RuntimeEventsDependencies): RuntimeEvents {
  return new LiveRuntime(dependencies)
}

class LiveRuntime implements RuntimeEvents {
  readonly #with: RuntimeEventsDependencies
  readonly #life: Startable
  readonly #listeners = new Set<(delta: RuntimeDelta) => void>()
  readonly #ring = new DeltaRing<RuntimeDelta>((delta) => itemsIn(...LISTS.map((list) => delta[list])), {
    deltas: DELTAS_KEPT,
  })
  readonly #undo: (() => void)[] = []
  #picture: Picture = { clusters: new Map(), leases: new Map(), jobs: new Map(), unasked: new Map() }
  /** As it was when the heads were last asked. */
  #jobs: ReadonlyMap<string, Job> = new Map()
  #unasked: ReadonlyMap<string, Unasked> = new Map()
  #sequence = 0
  #soon: NodeJS.Timeout | undefined
  #asking = false
  #askedAtMs = 0

  constructor(dependencies: RuntimeEventsDependencies) {
    this.#with = dependencies
    this.#life = startable({ start: () => this.#begin(), stop: () => this.#end() })
  }

  start(options?: Parameters<Startable['start']>[0]): Promise<void> {
    return this.#life.start(options)
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  snapshot(): RuntimeSnapshot {
    this.#advance()
    const lists = Object.fromEntries(LISTS.map((list) => [list, [...this.#picture[list].values()]]))
    return { ...this.#head(), ...(lists as Pick<RuntimeSnapshot, List>) }
  }

  since({ epoch, sequence }: Mark): readonly RuntimeDelta[] | undefined {
    if (epoch !== this.#with.epoch) return undefined
    return sequence === this.#sequence ? [] : this.#ring.since(sequence)
  }

  onDelta(listener: (delta: RuntimeDelta) => void): () => void {
    this.#listeners.add(listener)
    void this.#ask()
    return () => this.#listeners.delete(listener)
  }

  #begin(): void {
    const { clusters, desk } = this.#with.runtime
    const gather = (): void => {
      this.#soon ??= setTimeout(() => this.#advance(), GATHER_MS).unref()
    }
    const look = setInterval(() => {
      if (this.#listeners.size === 0) return
      this.#advance()
      if (performance.now() - this.#askedAtMs >= ASK_EVERY_MS) void this.#ask()
    }, LOOK_EVERY_MS).unref()
    this.#undo.push(() => clearInterval(look), clusters.onChange(gather), desk.onChange(gather))
  }

  #end(): void {
    for (const step of this.#undo.splice(0)) step()
    clearTimeout(this.#soon)
    this.#listeners.clear()
  }

  /** Asks all heads; one that does not answer leaves its jobs as they were. */
  async #ask(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    try {
      const { jobs, unasked } = await listJobs(this.#with.runtime.jobs)
      const silent = new Set(unasked.map(({ cluster }) => cluster))
      const before = [...this.#jobs.values()].filter(({ cluster }) => silent.has(cluster))
      this.#jobs = new Map([...before, ...jobs].map((job) => [`${job.cluster}/${job.id}`, job]))
      this.#unasked = new Map(unasked.map((one) => [one.cluster, one]))
      this.#advance()
    } finally {
      this.#asking = false
      this.#askedAtMs = performance.now()
    }
  }

  /** Compares what is with what was told, and tells the difference. */
  #advance(): void {
    clearTimeout(this.#soon)
    this.#soon = undefined
    const now = this.#look()
    const changes = LISTS.map((list) => [list, difference(this.#picture[list], now[list])] as const)
    this.#picture = now
    if (changes.every(([, { set, removed }]) => set.length + removed.length === 0)) return
    const since = this.#sequence
    this.#sequence += 1
    const delta = { ...this.#head(), since, ...Object.fromEntries(changes) } as RuntimeDelta
    this.#ring.push(delta)
    for (const listener of this.#listeners) listener(delta)
  }

  #look(): Picture {
    const { runtime, discovery } = this.#with
    const clusters = runtime.clusters.list()
    const names = new Set(clusters.map(({ record }) => record.name))
    return {
      clusters: new Map(clusters.map((one) => [one.record.name, clusterView(discovery, one)])),
      leases: new Map(runtime.desk.leases().map((one) => [one.lease.id, leaseView(discovery, one)])),
      // jobs go with their cluster
      jobs: new Map([...this.#jobs].filter(([, { cluster }]) => names.has(cluster))),
      unasked: new Map([...this.#unasked].filter(([cluster]) => names.has(cluster))),
    }
  }

  #head() {
    return { version: 1 as const, epoch: this.#with.epoch, sequence: this.#sequence, at: this.#with.nowMs() }
  }
}

function difference(before: ReadonlyMap<string, Item>, now: ReadonlyMap<string, Item>) {
  return {
    set: [...now].filter(([id, item]) => !same(before.get(id), item)).map(([, item]) => item),
    removed: [...before.keys()].filter((id) => !now.has(id)),
  }
}

function same(a: Item | undefined, b: Item): boolean {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b)
}
