import type { Writable } from 'node:stream'
import type { Problem } from '@ropewalk/shared/errors'

/** What a slow reader may have waiting before deltas are left out and it is brought up to date later, in bytes. */
const BEHIND_BYTES = 1 << 20
/** Who reads nothing for this long is let go, in ms. */
const STUCK_MS = 30_000

/** Where a watcher stands. */
export interface Mark {
  /** Changes when the source restarts: sequences of two epochs cannot be compared. */
  readonly epoch: string
  readonly sequence: number
}

/** What is watched: a picture, and what changes of it. */
export interface Watched<Snapshot extends Mark = Mark, Delta extends Mark = Mark> {
  /** The picture after the last delta. */
  snapshot(): Snapshot
  /** The deltas after a mark; `undefined` when only a snapshot helps. */
  since(mark: Mark): readonly Delta[] | undefined
  /** Hears every delta from now on, in order and without gaps. */
  onDelta(listener: (delta: Delta) => void): () => void
}

/** Where events are written: the response of a request. */
export type EventSink = Pick<
  Writable,
  'write' | 'end' | 'destroy' | 'destroyed' | 'writableLength' | 'once' | 'on' | 'off'
>

export interface WatcherOptions {
  readonly sink: EventSink
  readonly mark: Mark | undefined
  readonly heartbeatMs: number
  /** See {@link eventWriter}. */
  readonly textOf: (event: string, data: Mark) => string
}

/** One stream of server-sent events (WHATWG HTML §9.2). */
export interface Watcher {
  /** Called about once a second with a monotonic clock in ms. */
  care(now: number): void
  /** Says why, and ends. */
  end(reason: Problem): void
  /** The reader is gone. */
  leave(): void
}

/** Begins a stream: what was missed since the mark, or the whole picture; then every change. */
export function createWatcher(options: WatcherOptions, watched: Watched): Watcher {
  return new EventStream(options, watched)
}

/** The id of an event, which a reader gives back as `Last-Event-ID`. */
export function formatMark({ epoch, sequence }: Mark): string {
  return `${epoch}.${sequence}`
}

/** A mark out of a reader's text; one that is not ours counts as none. */
export function parseMark(text: string | undefined): Mark | undefined {
  const found = /^([\w-]{1,64})\.(\d{1,15})$/.exec(text ?? '')
  return found?.[1] === undefined ? undefined : { epoch: found[1], sequence: Number(found[2]) }
}

class EventStream implements Watcher {
  readonly #sink: EventSink
  readonly #heartbeatMs: number
  readonly #textOf: WatcherOptions['textOf']
  readonly #watched: Watched
  readonly #unwatch: () => void
  #mark: Mark | undefined
  #stuckSince: number | undefined
  #ended = false
  #lastAt = performance.now()

  constructor({ sink, mark, heartbeatMs, textOf }: WatcherOptions, watched: Watched) {
    this.#sink = sink
    this.#heartbeatMs = heartbeatMs
    this.#textOf = textOf
    this.#watched = watched
    this.#mark = mark
    sink.on('drain', this.#onDrain)
    sink.write('retry: 1000\n\n')
    this.#catchUp()
    this.#unwatch = watched.onDelta((delta) => this.#onDelta(delta))
  }

  care(now: number): void {
    if (this.#stuckSince !== undefined) {
      if (now - this.#stuckSince > STUCK_MS) this.#sink.destroy()
    } else if (now - this.#lastAt >= this.#heartbeatMs) {
      this.#write(': alive\n\n')
    }
  }

  end(reason: Problem): void {
    if (this.#ended) this.#sink.destroy() // it has not read the first good-bye
    this.#ended = true
    this.leave()
    if (!this.#sink.destroyed) this.#sink.end(`event: end\ndata: ${JSON.stringify(reason)}\n\n`)
  }

  leave(): void {
    this.#unwatch()
    this.#sink.off('drain', this.#onDrain)
  }

  readonly #onDrain = () => {
    if (this.#stuckSince === undefined) return
    this.#stuckSince = undefined
    this.#catchUp()
  }

  #onDelta(delta: Mark): void {
    // a reader that cannot follow keeps its mark, and is brought up to date when it has read what there is
    if (this.#stuckSince === undefined) this.#send('delta', delta)
  }

  #catchUp(): void {
    const missed = this.#mark === undefined ? undefined : this.#watched.since(this.#mark)
    if (missed === undefined) this.#send('snapshot', this.#watched.snapshot())
    for (const delta of missed ?? []) {
      if (this.#stuckSince !== undefined) return
      this.#send('delta', delta)
    }
  }

  #send(event: 'snapshot' | 'delta', data: Mark): void {
    this.#mark = { epoch: data.epoch, sequence: data.sequence }
    this.#write(this.#textOf(event, data))
  }

  #write(text: string): void {
    this.#lastAt = performance.now()
    const flowing = this.#sink.write(text)
    if (!flowing && this.#sink.writableLength > BEHIND_BYTES) this.#stuckSince ??= this.#lastAt
  }
}

/** Makes events into text. Many watch the same deltas, so each is made once. */
export function eventWriter(): (event: string, data: Mark) => string {
  const texts = new WeakMap<Mark, string>()
  return (event, data) => {
    const known = texts.get(data)
    if (known !== undefined) return known
    const text = `id: ${formatMark(data)}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
    texts.set(data, text)
    return text
  }
}
