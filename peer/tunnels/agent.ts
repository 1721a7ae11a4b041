import { setTimeout as sleep } from 'node:timers/promises'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { RelayAddress } from '@ropewalk/shared/tunnel'
import { createBackoff } from './backoff.ts'
import { errorOf, type Heartbeat } from './channel.ts'
import type { Reception } from './reception.ts'
import { dialRelay, type LinkDependencies, type RelayLink } from './relay-link.ts'
import { createStock, type Stock } from './stock.ts'

const BACKOFF = { firstMs: 1_000, maxMs: 15_000, eagerForMs: 60_000 } as const
/** A relay that another process of the same key holds is left to it for this long, in milliseconds. */
const REPLACED_MS = 30_000
/** An attempt that is younger is not given up for a new one, in milliseconds. */
const YOUNG_MS = 1_000

/** What an agent of one relay is made with. */
export interface AgentOptions {
  readonly relay: RelayAddress
  /** Most streams at once from this relay; 1,000 unless said. */
  readonly maxStreams?: number
  readonly heartbeat?: Heartbeat | undefined
}

/** What it needs of the peer. */
export interface AgentDependencies extends LinkDependencies {
  readonly reception: Reception
  readonly logger: Logger
}

/** How the agent stands with its relay. */
export interface AgentState {
  readonly relay: RelayAddress
  readonly state: 'connected' | 'connecting' | 'offline'
  readonly rttMs: number | undefined
  /** Data connections that wait for a stream. */
  readonly pooled: number
  /** Why it is not connected. */
  readonly reason?: RopewalkError | undefined
}

/** Keeps this node reachable through one relay: a control stream, data connections in stock, streams to the reception. */
export interface Agent extends Startable {
  readonly status: AgentState
  /** There is reason to think that the relay can be reached again: an agent without a link tries at once. */
  retry(): void
}

/** An agent of one relay. `start` returns at once; connecting goes on until `stop`. */
export function createAgent(options: AgentOptions, dependencies: AgentDependencies): Agent {
  return new RelayAgent(options, dependencies)
}

class RelayAgent implements Agent {
  readonly #options: AgentOptions
  readonly #with: AgentDependencies
  readonly #stopped = new AbortController()
  readonly #backoff = createBackoff(BACKOFF)
  readonly #life: Startable
  /** Ends the wait, or the attempt, that goes on now. */
  #hope = new AbortController()
  #attemptAt = 0
  #running: Promise<void> = Promise.resolve()
  #link: RelayLink | undefined
  #stock: Stock | undefined
  #reason: RopewalkError | undefined

  constructor(options: AgentOptions, dependencies: AgentDependencies) {
    this.#options = options
    this.#with = dependencies
    this.#life = startable({
      start: () => {
        this.#running = this.#run()
      },
      stop: async () => {
        this.#stopped.abort(new RopewalkError('aborted'))
        this.#link?.channel.close(new RopewalkError('aborted'))
        await this.#running
      },
    })
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

  get status(): AgentState {
    const state = this.#link !== undefined ? 'connected' : this.#reason === undefined ? 'connecting' : 'offline'
    return {
      relay: this.#options.relay,
      state,
      rttMs: this.#link?.channel.rttMs,
      pooled: this.#stock?.ready ?? 0,
      reason: this.#reason,
    }
  }

  retry(): void {
    // an attempt that has just begun may get through; an older one hangs on what was there before
    const young = performance.now() - this.#attemptAt < YOUNG_MS
    if (this.#link !== undefined || young || this.#reason?.code === 'conflict') return
    this.#backoff.reset()
    this.#hope.abort(new RopewalkError('aborted', 'The relay is back'))
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    const { logger } = this.#with
    const relay = this.#options.relay.url
    while (!signal.aborted) {
      this.#hope = new AbortController()
      const either = AbortSignal.any([signal, this.#hope.signal])
      const waitMs = this.#reason?.code === 'conflict' ? REPLACED_MS : this.#backoff.next()
      await sleep(waitMs, undefined, { signal: either }).catch(() => undefined)
      if (signal.aborted) return
      if (either.aborted) continue
      try {
        this.#attemptAt = performance.now()
        const link = await dialRelay({ ...this.#options, role: 'agent', signal: either }, this.#with)
        this.#backoff.reset()
        this.#reason = undefined
        logger.info('relay connected', { relay })
        this.#reason = await this.#serve(link)
        if (!signal.aborted) logger.warn('relay lost', { relay, code: this.#reason.code, reason: this.#reason.message })
      } catch (error) {
        const reason = toRopewalkError(error)
        if (this.#hope.signal.aborted) continue
        if (!signal.aborted && reason.code !== this.#reason?.code) {
          logger.warn('relay not reachable', { relay, code: reason.code, reason: reason.message })
        }
        this.#reason = reason
      }
    }
  }

  async #serve(link: RelayLink): Promise<RopewalkError> {
    const { maxStreams = 1_000 } = this.#options
    const stock = createStock(link, { ...this.#with, stopped: this.#stopped.signal, maxStreams })
    this.#link = link
    this.#stock = stock
    let drained: RopewalkError | undefined
    link.channel.listen({
      message: (message) => {
        if (message.kind === 'drain') drained = errorOf(message)
        else stock.told(message)
      },
    })
    link.channel.send({ kind: 'register', maxStreams })
    stock.fill()
    const reason = await link.channel.closed
    this.#link = undefined
    this.#stock = undefined
    stock.close()
    return drained ?? reason
  }
}
