import { setTimeout as delay } from 'node:timers/promises'
import { toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, type StartOptions, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Offer } from '@ropewalk/shared/runtime'
import { findRuntime, type Runtime } from '../install/index.ts'
import { type Devices, probeDevices } from './devices.ts'
import type { MeasuredLink } from './link.ts'

export interface OfferOptions {
  /** See `runtimeFolder`. */
  readonly folder: string
  /** Longest lease this worker takes, in minutes. */
  readonly maxLeaseMinutes: number
  /** When the link is measured first, in ms after the start; 30,000 unless said. */
  readonly firstMeasureMs?: number
  /** How often it is looked whether anything has changed, in ms; 15,000 unless said. */
  readonly lookEveryMs?: number
}

export interface OfferDependencies {
  /** Leases that run now. */
  readonly leases: () => number
  /** Measures the link: see `measureLink`. */
  readonly measure: (signal: AbortSignal) => Promise<MeasuredLink>
  /** Hears the offer whenever it changes; none while no runtime is installed. */
  readonly publish: (offer: Offer | undefined) => void
  readonly logger: Logger
}

/** Keeps what this worker offers up to date. */
export interface OfferKeeper extends Startable {
  /** What is offered now. */
  readonly offer: Offer | undefined
  /** The runtime that is installed, if one is. */
  readonly runtime: Runtime | undefined
  /** This machine as it was probed last; none in the first moments. */
  readonly devices: Devices | undefined
  /** The link as it was measured last. */
  readonly link: MeasuredLink | undefined
  /** Something has changed (a lease began or ended, a runtime was installed): looks now. */
  refresh(): Promise<void>
  /** Measures the link now; a second caller joins the first. @throws RopewalkError `unreachable`, `rate-limited` */
  measureNow(): Promise<MeasuredLink>
}

const FIRST_MEASURE_MS = 30_000
const LOOK_EVERY_MS = 15_000
const PROBE_EVERY_MS = 10 * 60_000
const MEASURE_EVERY_MS = 12 * 60 * 60_000
const MEASURE_AGAIN_MS = 10 * 60_000
/** Free space changes all the time; a record is signed for it only when it has changed by this share. */
const DISK_STEP = 0.1

/**
 * Keeps a worker's offer. The link is measured 30 s after the start and then every 12 h, only where a runtime is installed
 * and no lease runs; where nobody had time, again after 10 min. Not to meet others, all of it a fifth more or less.
 */
export function createOffer(options: OfferOptions, dependencies: OfferDependencies): OfferKeeper {
  return new Keeper(options, dependencies)
}

class Keeper implements OfferKeeper {
  offer: Offer | undefined
  runtime: Runtime | undefined
  devices: Devices | undefined
  link: MeasuredLink | undefined
  readonly #options: OfferOptions
  readonly #dependencies: OfferDependencies
  readonly #stop = new AbortController()
  readonly #life: Startable
  #working: Promise<void> = Promise.resolve()
  #looking: Promise<void> = Promise.resolve()
  #measuring: Promise<MeasuredLink> | undefined
  #probedMs = Number.NEGATIVE_INFINITY
  #measureAtMs = 0

  constructor(options: OfferOptions, dependencies: OfferDependencies) {
    this.#options = options
    this.#dependencies = dependencies
    this.#life = startable({
      start: () => {
        this.#measureAtMs = performance.now() + around(options.firstMeasureMs ?? FIRST_MEASURE_MS)
        this.#working = this.#work() // a driver may take seconds to answer: nobody waits for it
      },
      stop: async () => {
        this.#stop.abort()
        await Promise.allSettled([this.#working, this.#looking, this.#measuring])
      },
    })
  }

  start(start?: StartOptions): Promise<void> {
    return this.#life.start(start)
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#life.stop()
  }

  refresh(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look())
    return this.#looking
  }

  measureNow(): Promise<MeasuredLink> {
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = undefined
    })
    return this.#measuring
  }

  async #work(): Promise<void> {
    const signal = this.#stop.signal
    while (!signal.aborted) {
      await this.refresh()
      if (this.#mayMeasure()) {
        await this.measureNow().catch((error: unknown) => {
          if (!signal.aborted) this.#dependencies.logger.debug('the link was not measured', { error })
        })
      }
      await delay(this.#options.lookEveryMs ?? LOOK_EVERY_MS, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  #mayMeasure(): boolean {
    if (this.#stop.signal.aborted || this.runtime === undefined) return false
    return performance.now() >= this.#measureAtMs && this.#dependencies.leases() === 0
  }

  async #measure(): Promise<MeasuredLink> {
    const { measure, logger } = this.#dependencies
    this.#measureAtMs = performance.now() + around(MEASURE_AGAIN_MS)
    const link = await measure(this.#stop.signal)
    this.#measureAtMs = performance.now() + around(MEASURE_EVERY_MS)
    this.link = link
    logger.info('measured the link', { tier: link.tier, upMbps: link.upMbps, downMbps: link.downMbps, with: link.with })
    await this.refresh()
    return link
  }

  async #look(): Promise<void> {
    const { folder } = this.#options
    const { signal } = this.#stop
    if (signal.aborted) return
    try {
      const runtime = await findRuntime(folder)
      const appeared = runtime !== undefined && this.runtime === undefined
      this.runtime = runtime
      if (appeared || performance.now() - this.#probedMs >= PROBE_EVERY_MS) {
        this.devices = await probeDevices({ folder, signal })
        this.#probedMs = performance.now()
      }
    } catch (error) {
      if (!signal.aborted)
        this.#dependencies.logger.warn('could not look at this machine', { error: toRopewalkError(error) })
    }
    if (!signal.aborted) this.#publish()
  }

  #publish(): void {
    const { runtime, devices, link } = this
    const offer = runtime === undefined || devices === undefined ? undefined : this.#offerOf(runtime, devices, link)
    if (JSON.stringify(offer) === JSON.stringify(this.offer)) return
    this.offer = offer
    this.#dependencies.publish(offer)
  }

  #offerOf(runtime: Runtime, devices: Devices, link: MeasuredLink | undefined): Offer {
    return {
      ray: runtime.rayVersion,
      cpus: devices.cpus,
      memoryMiB: devices.memoryMiB,
      diskGiB: steady(this.offer?.diskGiB, devices.diskGiB),
      gpus: devices.gpus.map(({ model, memoryMiB }) => ({ model, memoryMiB })),
      ...(link === undefined ? {} : { tier: link.tier }),
      maxLeaseMinutes: this.#options.maxLeaseMinutes,
      leases: Math.min(this.#dependencies.leases(), 255),
    }
  }
}

/** The figure that was told, as long as the new one is near it. */
export function steady(told: number | undefined, now: number): number {
  return told !== undefined && Math.abs(now - told) <= told * DISK_STEP ? told : now
}

const around = (ms: number): number => ms * (0.8 + 0.4 * Math.random())
