import type { Connection, Stream } from '@libp2p/interface'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import type { Dialer } from './dialer.ts'
import type { RequestHandler, RequestOptions, Unsubscribe } from './face.ts'
import type { Host } from './host.ts'
import { toNodeId } from './libp2p-ids.ts'
import type { Registry } from './registry.ts'
import { answerOne, ask, DEFAULT_MAX_BYTES, networkError } from './wire.ts'

/** What requests stand on. */
export interface RequestsOptions {
  readonly registry: Registry
  readonly dialer: Dialer
  readonly logger: Logger
  /** Looks for a member that is not known here; resolves when it is, or when it was not found. */
  lookUp(id: NodeId, signal: AbortSignal): Promise<unknown>
}

interface Handler {
  readonly maxBytes: number
  readonly handle: RequestHandler
}

const DEFAULT_TIMEOUT_MS = 5_000
const ANSWER_TIMEOUT_MS = 30_000
const STREAMS_PER_CONNECTION = 64

/** One question, one answer, over a stream of its own; who asks and who answers is proven by the connection. */
export class Requests {
  readonly #options: RequestsOptions
  readonly #handlers = new Map<string, Handler>()
  #host: Host | undefined

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  async start(host: Host): Promise<void> {
    this.#host = host
    for (const protocol of this.#handlers.keys()) await this.#register(protocol)
  }

  /** Asks a member. @throws RopewalkError `unknown-peer`, `unreachable`, `timeout`, `too-large`, or the other end's code */
  async request(to: NodeId, protocol: string, request: Uint8Array, options: RequestOptions = {}): Promise<Uint8Array> {
    const { registry, dialer, lookUp } = this.#options
    const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout])
    if (registry.get(to) === undefined) await lookUp(to, signal)
    if (registry.get(to) === undefined) throw new RopewalkError('unknown-peer', `No member ${to} is known`)
    let stream: Stream
    try {
      const connection = await dialer.connect(to, signal)
      stream = await connection.newStream(protocol, { signal, maxOutboundStreams: STREAMS_PER_CONNECTION })
    } catch (error) {
      throw networkError(error)
    }
    return await ask(stream, request, { signal, maxBytes: options.maxBytes ?? DEFAULT_MAX_BYTES })
  }

  /** Answers a protocol from now on. @throws RopewalkError `conflict` when somebody does already */
  handle(protocol: string, options: { readonly maxBytes: number }, handle: RequestHandler): Unsubscribe {
    if (this.#handlers.has(protocol)) throw new RopewalkError('conflict', `${protocol} is answered already`)
    this.#handlers.set(protocol, { maxBytes: options.maxBytes, handle })
    void this.#register(protocol).catch((error: unknown) =>
      this.#options.logger.error('could not answer a protocol', { protocol, error }),
    )
    return () => {
      this.#handlers.delete(protocol)
      void this.#host?.unhandle(protocol)
    }
  }

  async #register(protocol: string): Promise<void> {
    if (this.#host === undefined) return
    const serve = (stream: Stream, connection: Connection): Promise<void> => this.#serve(protocol, stream, connection)
    await this.#host.handle(protocol, serve, { maxInboundStreams: STREAMS_PER_CONNECTION, force: true })
  }

  async #serve(protocol: string, stream: Stream, connection: Connection): Promise<void> {
    const { registry, logger } = this.#options
    const nodeId = toNodeId(connection.remotePeer)
    const from = registry.get(nodeId)?.member
    const handler = this.#handlers.get(protocol)
    if (from === undefined || handler === undefined)
      return stream.abort(new RopewalkError('not-admitted', 'Not a member'))
    try {
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS)
      await answerOne(stream, { signal, maxBytes: handler.maxBytes }, (request) => handler.handle(request, from))
    } catch (error) {
      const known = networkError(error)
      logger.debug('a request failed', { protocol, nodeId, code: known.code, reason: known.message })
      stream.abort(known)
    }
  }
}
