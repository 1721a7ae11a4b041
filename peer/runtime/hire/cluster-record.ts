import { randomBytes } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import type { HiredCluster } from '../../state/index.ts'

/** Most things that are remembered of what happened to a cluster. */
const EVENTS = 50
/** Among so many of the latest a sentence is not repeated. */
const AGAIN = 4

/** A worker of a cluster. */
export type Worker = HiredCluster['workers'][number]

/** Keeps a cluster's record, or forgets it when there is none. */
export type Keep = (name: string, record: HiredCluster | undefined) => Promise<void>

/** What is kept of a cluster, on disk at each change. */
export class ClusterRecord {
  #value: HiredCluster
  #over = false
  readonly #keep: Keep
  readonly #logger: Logger

  constructor(value: HiredCluster, use: { readonly keep: Keep; readonly logger: Logger }) {
    this.#value = value
    this.#keep = use.keep
    this.#logger = use.logger
  }

  get value(): HiredCluster {
    return this.#value
  }

  get workers(): readonly Worker[] {
    return this.#value.workers
  }

  get head(): Worker | undefined {
    return this.workers.find(({ role }) => role === 'head')
  }

  /** A worker as it is now. @throws RopewalkError `not-found` */
  current({ lease }: Worker): Worker {
    const worker = this.workers.find((one) => one.lease === lease)
    if (worker === undefined) throw new RopewalkError('not-found', 'That worker was given back meanwhile')
    return worker
  }

  async change(change: Partial<HiredCluster>): Promise<void> {
    this.#value = { ...this.#value, ...change }
    if (!this.#over) await this.#keep(this.#value.name, this.#value)
  }

  /** Notes a sentence for people; not the same again and again. */
  say(text: string): void {
    const { name, events } = this.#value
    if (events.slice(-AGAIN).some((event) => event.text === text)) return
    this.#logger.info(`cluster: ${text}`, { cluster: name })
    const latest = [...events, { atMs: Date.now(), text }].slice(-EVENTS)
    void this.change({ events: latest }).catch(() => undefined)
  }

  /** From now on nothing of it is kept. */
  async forget(): Promise<void> {
    this.#over = true
    await this.#keep(this.#value.name, undefined)
  }
}

/** A cluster's secret: 32 random bytes as hexadecimal text. */
export function newToken(): string {
  return randomBytes(32).toString('hex')
}
