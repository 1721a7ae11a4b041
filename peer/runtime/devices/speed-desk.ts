import { RopewalkError } from '@ropewalk/shared/errors'
import { type NodeId, toHex } from '@ropewalk/shared/identity'
import type { Discovery, Unsubscribe } from '../../discovery/index.ts'
import { CHUNK_BYTES, decodeSpeed, MAX_SPEED_BYTES, SPEED_PROTOCOL } from './speed-wire.ts'

/** What a node lets others measure. */
export interface SpeedLimits {
  /** A measurement is over after this, in ms, and another member's may begin. */
  readonly measurementMs: number
  /** A member may begin one this often, in ms. */
  readonly pauseMs: number
  /** Most bytes of one measurement, both ways together. */
  readonly measurementBytes: number
  /** Most bytes in a minute, of all members together. */
  readonly minuteBytes: number
}

const MIB = 1_024 ** 2
const MINUTE_MS = 60_000

/** One measurement at a time, of at most 10 s and 1,024 MiB, one a minute for each member, 2,048 MiB a minute in all. */
export const SPEED_LIMITS: SpeedLimits = {
  measurementMs: 10_000,
  pauseMs: MINUTE_MS,
  measurementBytes: 1_024 * MIB,
  minuteBytes: 2_048 * MIB,
}

/** A measurement that has fallen silent makes way for another member's after this, in ms. */
const SILENT_MS = 2_000
const ZEROS = new Uint8Array(CHUNK_BYTES)

interface Measurement {
  readonly from: NodeId
  readonly id: string
  readonly startedMs: number
  lastMs: number
  bytes: number
}

/** Decides what a node moves for those who measure their link: measuring must never be felt by anybody. */
export class SpeedAllowance {
  readonly #limits: SpeedLimits
  readonly #startedMs = new Map<NodeId, number>()
  #current: Measurement | undefined
  #minuteMs = Number.NEGATIVE_INFINITY
  #minuteBytes = 0

  constructor(limits = SPEED_LIMITS) {
    this.#limits = limits
  }

  /** Allows a request of `bytes` of the measurement `id`. @throws RopewalkError `rate-limited` */
  take(from: NodeId, id: string, bytes: number, nowMs: number): void {
    const { measurementMs, measurementBytes, minuteBytes } = this.#limits
    let current = this.#current
    if (current?.from !== from || current.id !== id) current = this.#begin(from, id, nowMs)
    if (nowMs - current.startedMs > measurementMs) throw refused('This measurement has taken its time')
    if (nowMs - this.#minuteMs >= MINUTE_MS) {
      this.#minuteMs = nowMs
      this.#minuteBytes = 0
    }
    if (current.bytes + bytes > measurementBytes) throw refused('This measurement has moved its share')
    if (this.#minuteBytes + bytes > minuteBytes) throw refused('Enough was measured here in this minute')
    current.bytes += bytes
    current.lastMs = nowMs
    this.#minuteBytes += bytes
  }

  #begin(from: NodeId, id: string, nowMs: number): Measurement {
    const { measurementMs, pauseMs } = this.#limits
    for (const [member, startedMs] of this.#startedMs) {
      if (nowMs - startedMs >= pauseMs) this.#startedMs.delete(member)
    }
    const last = this.#startedMs.get(from)
    if (last !== undefined) {
      throw refused(`You have measured here already; again in ${Math.ceil((last + pauseMs - nowMs) / 1_000)} s`)
    }
    const other = this.#current
    const alive = other !== undefined && nowMs - other.lastMs < SILENT_MS && nowMs - other.startedMs < measurementMs
    if (alive && other.from !== from) throw refused('Another measurement runs here')
    this.#startedMs.set(from, nowMs)
    this.#current = { from, id, startedMs: nowMs, lastMs: nowMs, bytes: 0 }
    return this.#current
  }
}

const refused = (sentence: string): RopewalkError => new RopewalkError('rate-limited', sentence)

/** Answers members that measure their link to this node. */
export function answerSpeed(
  discovery: Pick<Discovery, 'handle'>,
  options: { readonly limits?: SpeedLimits; readonly nowMs?: () => number } = {},
): Unsubscribe {
  const { nowMs = () => performance.now() } = options
  const allowance = new SpeedAllowance(options.limits)
  return discovery.handle(SPEED_PROTOCOL, { maxBytes: MAX_SPEED_BYTES }, (raw, from) => {
    const request = decodeSpeed(raw)
    const size = request.kind === 'up' ? request.content.length : request.size
    allowance.take(from.nodeId, toHex(request.id), size, nowMs())
    return request.kind === 'up' ? new Uint8Array() : ZEROS.subarray(0, size)
  })
}
