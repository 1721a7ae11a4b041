import { randomBytes } from 'node:crypto'
import type { LinkSpeed } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../../discovery/index.ts'
import { CHUNK_BYTES, encodeSpeed, MAX_SPEED_BYTES, SPEED_PROTOCOL } from './speed-wire.ts'

/** How a direction of a link is measured. */
export interface FlowOptions {
  /** In ms; 3,000 unless said. What moves in the first half is warming up and does not count. */
  readonly durationMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

type Direction = 'up' | 'down'

const DURATION_MS = 3_000
/** On the slowest link four of these still take under a second. */
const FIRST_CHUNK_BYTES = 16 * 1_024
const FIRST_LANES = 4
/** With chunks of 256 KiB and a round trip of 100 ms enough for 160 Mbit/s; more of them make this process slow to answer. */
const MAX_LANES = 16
/** A chunk that takes less than this may grow, and when it is full-grown, another lane may open. */
const QUICK_MS = 250
/** Each way; it ends a measurement on a fast link early. */
const MAX_BYTES = 448 * 1_024 ** 2
const BITS_PER_BYTE = 8
const ZEROS = new Uint8Array(CHUNK_BYTES)

/**
 * The speed of the way between this node and a member in Mbit/s, one direction after the other: what libp2p carries over
 * its TCP connection.
 * @throws RopewalkError `unreachable`, `timeout`, `rate-limited` when the member has no time for it, `aborted`
 */
export async function measureTo(
  discovery: Pick<Discovery, 'request'>,
  member: Member,
  options: FlowOptions = {},
): Promise<LinkSpeed> {
  const id = randomBytes(16)
  // the dial is not measured, and a refusal comes before anything was moved
  await discovery.request(member.nodeId, SPEED_PROTOCOL, encodeSpeed({ kind: 'down', id, size: 0 }), {
    signal: options.signal,
  })
  const measure = (direction: Direction): Promise<number> => new Flow(discovery, member, id, direction, options).run()
  return { upMbps: await measure('up'), downMbps: await measure('down') }
}

/** One direction: several requests at once, each larger than the last as long as they are quick. */
class Flow {
  readonly #request: Pick<Discovery, 'request'>['request']
  readonly #member: Member
  readonly #id: Uint8Array
  readonly #direction: Direction
  readonly #durationMs: number
  readonly #signal: AbortSignal
  readonly #caller: AbortSignal | undefined
  readonly #done: { readonly atMs: number; readonly bytes: number }[] = []
  readonly #lanes: Promise<void>[] = []
  readonly #startedMs = performance.now()
  #chunk = FIRST_CHUNK_BYTES
  #moved = 0
  #failure: unknown

  constructor(
    discovery: Pick<Discovery, 'request'>,
    member: Member,
    id: Uint8Array,
    direction: Direction,
    { durationMs = DURATION_MS, signal }: FlowOptions,
  ) {
    this.#request = (...args) => discovery.request(...args)
    this.#member = member
    this.#id = id
    this.#direction = direction
    this.#durationMs = durationMs
    this.#caller = signal
    const end = AbortSignal.timeout(durationMs)
    this.#signal = signal === undefined ? end : AbortSignal.any([signal, end])
  }

  async run(): Promise<number> {
    for (let lane = 0; lane < FIRST_LANES; lane++) this.#open()
    for (const lane of this.#lanes) await lane // more are added while these run
    this.#caller?.throwIfAborted()
    // a member that has had enough in the middle has still shown something; one that showed nothing is no measurement
    if (this.#failure !== undefined && this.#done.length < FIRST_LANES) throw this.#failure
    return speedOf(this.#done, this.#startedMs)
  }

  #open(): void {
    this.#lanes.push(this.#lane())
  }

  async #lane(): Promise<void> {
    while (!this.#signal.aborted && this.#failure === undefined && this.#moved < MAX_BYTES) {
      const size = this.#chunk
      const sentMs = performance.now()
      this.#moved += size
      try {
        await this.#move(size)
      } catch (error) {
        if (!this.#signal.aborted) this.#failure ??= error
        return
      }
      const atMs = performance.now()
      this.#done.push({ atMs, bytes: size })
      if (atMs - sentMs < QUICK_MS) this.#grow(size)
    }
  }

  #grow(size: number): void {
    if (size < CHUNK_BYTES) this.#chunk = Math.max(this.#chunk, size * 2)
    else if (this.#lanes.length < MAX_LANES) this.#open()
  }

  async #move(size: number): Promise<void> {
    const [id, up] = [this.#id, this.#direction === 'up']
    const request = up
      ? encodeSpeed({ kind: 'up', id, content: ZEROS.subarray(0, size) })
      : encodeSpeed({ kind: 'down', id, size })
    const options = { signal: this.#signal, timeoutMs: this.#durationMs + 1_000, maxBytes: MAX_SPEED_BYTES }
    await this.#request(this.#member.nodeId, SPEED_PROTOCOL, request, options)
  }
}

/** Mbit/s of what was done in the second half of the time, or of all where that was too little. */
export function speedOf(done: readonly { readonly atMs: number; readonly bytes: number }[], startedMs: number): number {
  const endMs = done.at(-1)?.atMs
  if (endMs === undefined || endMs <= startedMs) return 0
  const middleMs = (startedMs + endMs) / 2
  const late = done.filter(({ atMs }) => atMs > middleMs)
  const [counted, sinceMs] = late.length < FIRST_LANES ? [done, startedMs] : [late, middleMs]
  const bytes = counted.reduce((sum, one) => sum + one.bytes, 0)
  return (bytes * BITS_PER_BYTE) / ((endMs - sinceMs) * 1_000)
}
