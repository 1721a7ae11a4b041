/** Items kept for a reader that is slow, or that has not come yet; more are dropped and counted. */
const BACKLOG = 4_096

type Reader<T> = { waiting: T[]; lost: number; wake: (() => void) | undefined }

/**
 * Items in batches for any number of `for await` loops. What comes before the first loop starts is kept for it; the
 * loops end when the stream does, after what was left.
 */
export class EventStream<T> implements AsyncIterable<T[]> {
  readonly #readers = new Set<Reader<T>>()
  readonly #lost: (count: number) => T
  #early: Reader<T> | undefined = newReader()
  #ended = false

  /** `lost` makes the item that tells of dropped ones. */
  constructor(lost: (count: number) => T) {
    this.#lost = lost
  }

  push(items: readonly T[]): void {
    if (items.length === 0 || this.#ended) return
    for (const reader of this.#early === undefined ? this.#readers : [this.#early]) {
      const room = BACKLOG - reader.waiting.length
      reader.waiting.push(...items.slice(0, room))
      reader.lost += Math.max(0, items.length - room)
      reader.wake?.()
    }
  }

  end(): void {
    this.#ended = true
    for (const reader of this.#readers) reader.wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T[], void, undefined> {
    const reader = this.#early ?? newReader()
    this.#early = undefined
    this.#readers.add(reader)
    try {
      while (true) {
        if (reader.waiting.length > 0) yield this.#take(reader)
        else if (this.#ended) return
        else await new Promise<void>((resolve) => (reader.wake = resolve))
      }
    } finally {
      this.#readers.delete(reader)
    }
  }

  #take(reader: Reader<T>): T[] {
    const { waiting, lost } = reader
    reader.waiting = []
    reader.lost = 0
    return lost === 0 ? waiting : [...waiting, this.#lost(lost)]
  }
}

function newReader<T>(): Reader<T> {
  return { waiting: [], lost: 0, wake: undefined }
}
