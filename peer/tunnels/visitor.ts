import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { ControlMessage, RelayAddress } from '@ropewalk/shared/tunnel'
import { errorOf, type Heartbeat } from './channel.ts'
import { awaitGo, dialData } from './data-connection.ts'
import type { InnerContext } from './inner-tls.ts'
import { dialRelay, type LinkDependencies, type RelayLink, streamText } from './relay-link.ts'
import { requestStream, type VisitorStream } from './request.ts'

/** From the call to the worker's answer, in milliseconds. */
export const OPEN_TIMEOUT_MS = 15_000

/** What a visitor is made with. */
export interface VisitorOptions {
  readonly heartbeat?: Heartbeat | undefined
}

/** What it needs of the peer. */
export interface VisitorDependencies extends LinkDependencies {
  readonly context: InnerContext
  readonly logger: Logger
}

/** A stream that is wanted. */
export interface Wish {
  readonly nodeId: NodeId
  readonly service: string
  /** Relays to try, the best first. */
  readonly relays: readonly RelayAddress[]
  readonly signal: AbortSignal
}

/** The engineer's end of tunnels. Links to relays are made when first needed and then kept. */
export interface Visitor extends Startable {
  /** @throws RopewalkError `no-relay`, `no-agent`, the worker's refusal, `timeout`, … */
  open(wish: Wish): Promise<VisitorStream>
}

/** A visitor without links. */
export function createVisitor(options: VisitorOptions, dependencies: VisitorDependencies): Visitor {
  return new TunnelVisitor(options, dependencies)
}

interface Link {
  readonly link: RelayLink
  /** How each stream on it is told that the relay broke it off. */
  readonly streams: Map<string, (reason: RopewalkError) => void>
  /** Streams that are being opened: they need the link, those that run do not. */
  readonly opening: Set<AbortController>
}

/** Refusals that another relay would not change. */
const FINAL: ReadonlySet<string> = new Set([
  'not-exposed',
  'policy-refused',
  'revoked',
  'target-refused',
  'unsupported',
  'aborted',
  'wrong-key',
])

class TunnelVisitor implements Visitor {
  readonly #options: VisitorOptions
  readonly #with: VisitorDependencies
  readonly #stopped = new AbortController()
  readonly #links = new Map<string, Promise<Link>>()
  readonly #life: Startable

  constructor(options: VisitorOptions, dependencies: VisitorDependencies) {
    this.#options = options
    this.#with = dependencies
    this.#life = startable({
      start: () => undefined,
      stop: async () => {
        this.#stopped.abort(new RopewalkError('aborted'))
        for (const made of await Promise.allSettled(this.#links.values())) {
          if (made.status === 'fulfilled') made.value.link.channel.close(new RopewalkError('aborted'))
        }
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

  async open(wish: Wish): Promise<VisitorStream> {
    const signal = AbortSignal.any([wish.signal, this.#stopped.signal, AbortSignal.timeout(OPEN_TIMEOUT_MS)])
    let first: RopewalkError | undefined
    for (const relay of wish.relays) {
      try {
        return await this.#openBy(relay, { ...wish, signal })
      } catch (error) {
        const reason = signal.aborted ? toRopewalkError(signal.reason) : toRopewalkError(error)
        this.#with.logger.debug('stream not opened', { relay: relay.url, code: reason.code, reason: reason.message })
        if (signal.aborted || FINAL.has(reason.code)) throw reason
        first ??= reason
      }
    }
    throw first ?? new RopewalkError('no-relay', 'No relay is known for that worker', { hint: 'ropewalk doctor' })
  }

  async #openBy(relay: RelayAddress, { nodeId, service, signal }: Wish): Promise<VisitorStream> {
    const { link, streams, opening } = await orAborted(this.#linkTo(relay), signal)
    const stream = link.nextStream()
    const id = streamText(stream)
    const gone = new AbortController()
    opening.add(gone)
    streams.set(id, (reason) => gone.abort(reason))
    const either = AbortSignal.any([signal, gone.signal])
    link.channel.busy(1)
    try {
      // both at once: the relay joins them by the stream's id
      link.channel.send({ kind: 'open', stream, peer: nodeId })
      const socket = await dialData({ relay, hello: { kind: 'visit', stream }, dataKey: link.dataKey, signal: either })
      await awaitGo(socket, either)
      const opened = await requestStream(socket, { ...this.#with, expected: nodeId, service, signal: either })
      streams.set(id, (reason) => opened.stream.destroy(reason))
      void opened.stream.closed.then(() => streams.delete(id))
      return { ...opened, id, via: 'tunnel', relay }
    } catch (error) {
      streams.delete(id)
      link.channel.send({ kind: 'cancel', stream })
      throw error
    } finally {
      opening.delete(gone)
      link.channel.busy(-1)
    }
  }

  #linkTo(relay: RelayAddress): Promise<Link> {
    const key = `${relay.url}#${relay.nodeId}`
    const known = this.#links.get(key)
    if (known !== undefined) return known
    const made = this.#dial(relay)
    this.#links.set(key, made)
    const forget = (): void => {
      if (this.#links.get(key) === made) this.#links.delete(key)
    }
    made.then(({ link }) => link.channel.closed.then(forget), forget)
    return made
  }

  async #dial(relay: RelayAddress): Promise<Link> {
    const { heartbeat } = this.#options
    const link = await dialRelay({ relay, role: 'visitor', signal: this.#stopped.signal, heartbeat }, this.#with)
    const streams: Link['streams'] = new Map()
    const opening = new Set<AbortController>()
    void link.channel.closed.then((reason) => {
      for (const gone of opening) gone.abort(reason)
    })
    link.channel.listen({ message: (message) => told(streams, message) })
    this.#with.logger.info('relay connected', { relay: relay.url, role: 'visitor' })
    return { link, streams, opening }
  }
}

function told(streams: Link['streams'], message: ControlMessage): void {
  if (message.kind === 'reset') streams.get(streamText(message.stream))?.(errorOf(message))
}

/** The link is shared and goes on being made when one of those who wait for it gives up. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(toRopewalkError(signal.reason))
    if (signal.aborted) aborted()
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
