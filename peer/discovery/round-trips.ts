import type { NodeId } from '@ropewalk/shared/identity'
import type { Host } from './host.ts'
import { toPeerId } from './libp2p-ids.ts'

const INTERVAL_MS = 15_000
const TIMEOUT_MS = 5_000
const WEIGHT = 0.25
const MOST = 16

/** Measures the libp2p round trip to linked members: what `status` shows of relays. */
export class RoundTrips {
  readonly #linked: () => readonly NodeId[]
  readonly #smoothed = new Map<NodeId, number>()
  #timer: NodeJS.Timeout | undefined
  #host: Host | undefined

  constructor(linked: () => readonly NodeId[]) {
    this.#linked = linked
  }

  start(host: Host): void {
    this.#host = host
    this.#timer = setInterval(() => {
      for (const id of this.#linked().slice(0, MOST)) this.measure(id)
    }, INTERVAL_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The smoothed round trip in ms. */
  get(id: NodeId): number | undefined {
    return this.#smoothed.get(id)
  }

  /** Measures one now; a failure leaves the old figure. */
  measure(id: NodeId): void {
    void this.#ping(id).catch(() => undefined)
  }

  forget(id: NodeId): void {
    this.#smoothed.delete(id)
  }

  async #ping(id: NodeId): Promise<void> {
    const took = await this.#host?.services.ping.ping(toPeerId(id), { signal: AbortSignal.timeout(TIMEOUT_MS) })
    if (took === undefined) return
    const before = this.#smoothed.get(id) ?? took
    this.#smoothed.set(id, before + WEIGHT * (took - before))
  }
}
