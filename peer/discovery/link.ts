import type { Stream } from '@libp2p/interface'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { decodeSync, encodeSync, MAX_SYNC_BYTES, type SyncMessage } from '@ropewalk/shared/records'
import { framed } from './wire.ts'

/** Who hears what a link brings. */
export interface LinkListener {
  /** One message at a time; the next is read when the promise settles. What it throws ends the link. */
  message(message: SyncMessage, link: Link): Promise<void> | void
  closed(link: Link, reason: unknown): void
}

const MAX_QUEUED_BYTES = 16 * 1_024 * 1_024
const WRITE_TIMEOUT_MS = 15_000

/** One long-lived sync stream to a neighbour. */
export class Link {
  readonly peer: NodeId
  /** Whether this node opened it. */
  readonly outgoing: boolean
  readonly #stream: Stream
  readonly #messages: ReturnType<typeof framed>
  readonly #listener: LinkListener
  readonly #queue: Uint8Array[] = []
  #queuedBytes = 0
  #writing = false
  #closed = false
  #lastHeardMs = performance.now()

  constructor(stream: Stream, peer: NodeId, outgoing: boolean, listener: LinkListener) {
    this.peer = peer
    this.outgoing = outgoing
    this.#stream = stream
    this.#listener = listener
    this.#messages = framed(stream, MAX_SYNC_BYTES)
    stream.addEventListener('close', () => this.#end(new RopewalkError('stream-reset', 'The link was closed')))
    void this.#read()
  }

  /** Since when nothing was heard on it, in ms. */
  get quietMs(): number {
    return performance.now() - this.#lastHeardMs
  }

  get open(): boolean {
    return !this.#closed
  }

  /** Sends a message after those before it. A neighbour that does not read is given up. */
  send(message: SyncMessage): void {
    if (this.#closed) return
    const encoded = encodeSync(message)
    this.#queue.push(encoded)
    this.#queuedBytes += encoded.length
    if (this.#queuedBytes > MAX_QUEUED_BYTES)
      this.close(new RopewalkError('limit-reached', 'The neighbour does not read'))
    else if (!this.#writing) void this.#write()
  }

  /** Resolves when everything sent so far has left, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (this.#writing && !this.#closed && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Ends the link. */
  close(reason: Error): void {
    this.#end(reason) // first: the stream's own end would hide why
    if (this.#stream.status === 'open') this.#stream.abort(reason)
  }

  async #read(): Promise<void> {
    try {
      while (!this.#closed) {
        const raw = (await this.#messages.read()).subarray()
        this.#lastHeardMs = performance.now()
        await this.#listener.message(decodeSync(raw), this)
      }
    } catch (error) {
      this.close(error instanceof Error ? error : new Error(String(error)))
    }
  }

  async #write(): Promise<void> {
    this.#writing = true
    try {
      for (let next = this.#queue.shift(); next !== undefined && !this.#closed; next = this.#queue.shift()) {
        await this.#messages.write(next, { signal: AbortSignal.timeout(WRITE_TIMEOUT_MS) })
        this.#queuedBytes -= next.length
      }
    } catch (error) {
      this.close(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#writing = false
    }
  }

  #end(reason: unknown): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue.length = 0
    this.#listener.closed(this, reason)
  }
}
