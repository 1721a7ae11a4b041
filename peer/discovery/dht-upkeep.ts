import type { Logger } from '@ropewalk/shared/logger'
import { lookUp, putOwn, type RecordBook, rendezvousOf } from './dht.ts'
import type { Host } from './host.ts'
import { toNodeId } from './libp2p-ids.ts'
import type { Registry } from './registry.ts'

/** What the DHT's upkeep stands on. */
export interface DhtUpkeepOptions {
  readonly registry: Registry
  readonly book: RecordBook
  readonly logger: Logger
  /** Whether others can certainly reach this node (a relay). */
  readonly reachable: boolean
}

const FIRST_PUT_MS = { from: 3_000, to: 10_000 }
const PUT_MS = 10 * 60_000
const PROVIDE_MS = 6 * 3_600_000
const SEARCH_MS = 5 * 60_000
const TIMEOUT_MS = 20_000
const MOST_FOUND = 8

/** Stores the own record in the DHT, and looks there for members that the sync does not know: it finds the unknown and heals splits. */
export class DhtUpkeep {
  readonly #options: DhtUpkeepOptions
  readonly #abort = new AbortController()
  #timers: NodeJS.Timeout[] = []
  #host: Host | undefined
  #storedSeq = 0

  constructor(options: DhtUpkeepOptions) {
    this.#options = options
  }

  start(host: Host): void {
    this.#host = host
    if (this.#options.reachable) this.#serve()
    // who is dialled can be dialled: from then on others may keep it in their tables
    else
      host.addEventListener('connection:open', ({ detail }) => void (detail.direction === 'inbound' && this.#serve()))
    // spread out: a site that comes back at once must not ask all of its nodes at once
    const firstMs = FIRST_PUT_MS.from + Math.random() * (FIRST_PUT_MS.to - FIRST_PUT_MS.from)
    this.#timers = [
      setTimeout(() => void this.#put().then(() => this.#provide()), firstMs),
      setInterval(() => void this.#put(), PUT_MS),
      setInterval(() => void this.#provide(), PROVIDE_MS),
      setInterval(() => void this.#search(), SEARCH_MS),
    ]
  }

  stop(): void {
    this.#abort.abort()
    for (const timer of this.#timers) clearTimeout(timer)
  }

  /** Looks for one node; what is found is in the registry afterwards. */
  async lookUp(nodeId: Parameters<typeof lookUp>[2], signal: AbortSignal): Promise<boolean> {
    if (this.#host === undefined) return false
    return await lookUp(this.#host.services.dht, this.#options.book, nodeId, AbortSignal.any([signal, this.#signal()]))
  }

  async #put(): Promise<void> {
    const { registry, book } = this.#options
    const seq = registry.get(registry.self)?.record?.body.seq ?? 0
    if (this.#host === undefined || seq === this.#storedSeq) return
    await this.#quietly('put', async (host) => {
      if ((await putOwn(host.services.dht, book, registry.self, this.#signal())) > 0) this.#storedSeq = seq
    })
  }

  async #provide(): Promise<void> {
    const cid = rendezvousOf(this.#options.registry.network.id)
    await this.#quietly('provide', async (host) => {
      for await (const _ of host.services.dht.provide(cid, { signal: this.#signal() }));
    })
  }

  async #search(): Promise<void> {
    const { registry } = this.#options
    await this.#quietly('search', async (host) => {
      let found = 0
      for await (const event of host.services.dht.findProviders(rendezvousOf(registry.network.id), {
        signal: this.#signal(),
      })) {
        if (event.name !== 'PROVIDER') continue
        for (const { id } of event.providers) {
          const nodeId = toNodeId(id)
          if (registry.get(nodeId) !== undefined || nodeId === registry.self) continue
          await this.lookUp(nodeId, this.#signal())
          if (++found >= MOST_FOUND) return
        }
      }
    })
  }

  #serve(): void {
    const dht = this.#host?.services.dht
    if (dht?.getMode() === 'client') void dht.setMode('server').catch(() => undefined) // stopping
  }

  async #quietly(what: string, work: (host: Host) => Promise<void>): Promise<void> {
    if (this.#host === undefined || this.#abort.signal.aborted) return
    try {
      await work(this.#host)
    } catch (error) {
      // an empty table, a lone node, a query that timed out: nothing that the sync depends on
      this.#options.logger.debug('the DHT did not answer', {
        what,
        reason: error instanceof Error ? error.message : String(error),
      })
    }
  }

  #signal(): AbortSignal {
    return AbortSignal.any([this.#abort.signal, AbortSignal.timeout(TIMEOUT_MS)])
  }
}
