import type { Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import type { ControlMessage } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'
import { awaitGo, dialData } from './data-connection.ts'
import { createPoolSize } from './pool-size.ts'
import type { Reception } from './reception.ts'
import { type RelayLink, streamText } from './relay-link.ts'

const CHECK_MS = 1000
/** Connections that are on their way because the relay called: an honest one pairs them within seconds. */
const MAX_CALLS = 256
/** From the relay's call to its word that the stream is running, in milliseconds. */
const CALL_TIMEOUT_MS = 10_000

/** What a stock needs of its agent. */
export interface StockDependencies {
  readonly reception: Reception
  readonly logger: Logger
  /** The agent stops: streams end too. */
  readonly stopped: AbortSignal
  /** Most streams of this relay at once; it was told so, and a hostile one is held to it. */
  readonly maxStreams: number
}

/** The data connections of one link: those that wait, and those that carry a stream. */
export interface Stock {
  /** How many wait for a stream. */
  readonly ready: number
  /** Dials until as many wait as should. */
  fill(): void
  /** A message of the relay about one stream. */
  told(message: ControlMessage): void
  /** The link is gone. Streams live on: their bytes need no control stream. */
  close(): void
}

/** An empty stock. */
export function createStock(link: RelayLink, dependencies: StockDependencies): Stock {
  return new LinkStock(link, dependencies)
}

class LinkStock implements Stock {
  readonly #link: RelayLink
  readonly #with: StockDependencies
  readonly #closed = new AbortController()
  readonly #unused: AbortSignal
  readonly #size = createPoolSize()
  readonly #streams = new Map<string, Socket>()
  readonly #timer: NodeJS.Timeout
  #ready = 0
  #dialling = 0
  #calls = 0
  #pausedUntil = 0

  constructor(link: RelayLink, dependencies: StockDependencies) {
    this.#link = link
    this.#with = dependencies
    this.#unused = AbortSignal.any([this.#closed.signal, dependencies.stopped])
    this.#timer = setInterval(() => this.fill(), CHECK_MS).unref()
  }

  get ready(): number {
    return this.#ready
  }

  told(message: ControlMessage): void {
    if (message.kind === 'open') {
      if (this.#calls >= MAX_CALLS || this.#room <= this.#ready + this.#dialling) {
        const about = { code: 'limit-reached', message: 'The worker has as many streams as it takes' }
        this.#link.channel.send({ kind: 'reset', stream: message.stream, ...about })
        return
      }
      this.#size.arrived(performance.now(), true)
      void this.#answer(message.stream)
      this.fill()
    } else if (message.kind === 'reset' || message.kind === 'cancel') {
      const socket = this.#streams.get(streamText(message.stream))
      if (socket !== undefined) breakOff(socket)
    }
  }

  fill(): void {
    const now = performance.now()
    if (this.#unused.aborted || now < this.#pausedUntil) return
    const wanted = Math.min(this.#size.wanted(now), this.#link.maxStreams, this.#room)
    for (let count = this.#ready + this.#dialling; count < wanted; count++) void this.#keepOne()
  }

  /** Streams that may still come, those that connections wait for among them. */
  get #room(): number {
    return this.#with.maxStreams - this.#streams.size - this.#calls
  }

  close(): void {
    clearInterval(this.#timer)
    this.#closed.abort(new RopewalkError('aborted'))
  }

  /** Brings the connection that the relay asked for because none was ready. */
  async #answer(stream: Uint8Array): Promise<void> {
    this.#calls++
    try {
      const socket = await this.#dial('called', stream)
      await awaitGo(socket, AbortSignal.any([this.#unused, AbortSignal.timeout(CALL_TIMEOUT_MS)]))
      this.#serve(socket, stream)
    } catch (error) {
      this.#lost(error)
    } finally {
      this.#calls--
    }
  }

  /** Keeps one connection ready until a stream takes it. */
  async #keepOne(): Promise<void> {
    const stream = this.#link.nextStream()
    try {
      // each count goes over into the next in one step: between them the relay could have more than it may
      this.#dialling++
      let socket: Socket
      try {
        socket = await this.#dial('pooled', stream)
      } finally {
        this.#dialling--
      }
      this.#ready++
      try {
        await awaitGo(socket, this.#unused)
      } finally {
        this.#ready--
      }
      this.#serve(socket, stream)
      this.#size.arrived(performance.now(), this.#ready === 0)
      this.fill()
    } catch (error) {
      this.#lost(error)
    }
  }

  #dial(kind: 'called' | 'pooled', stream: Uint8Array): Promise<Socket> {
    const { relay, dataKey } = this.#link
    return dialData({ relay, hello: { kind, stream }, dataKey, signal: this.#unused })
  }

  #lost(error: unknown): void {
    // a relay that hangs up on us is not asked again at once
    this.#pausedUntil = performance.now() + CHECK_MS
    this.#with.logger.debug('data connection lost', { code: toRopewalkError(error).code })
  }

  #serve(socket: Socket, stream: Uint8Array): void {
    const id = streamText(stream)
    this.#streams.set(id, socket)
    socket.once('close', () => this.#streams.delete(id))
    const onCut = ({ code, message }: RopewalkError): void => {
      this.#link.channel.send({ kind: 'reset', stream, code, message: message.slice(0, 100) })
    }
    void this.#with.reception.receive(socket, { id, via: 'tunnel', onCut, signal: this.#with.stopped })
  }
}
