import { randomBytes } from 'node:crypto'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { decodeSignal, encodeSignal, type Signal } from '@ropewalk/shared/records'
import type { Discovery, Member } from '../discovery/index.ts'

/** A member that calls more often than this is not answered more often. */
const LEAST_BETWEEN_MS = 200
const SEND_TIMEOUT_MS = 3_000

export interface SignalsDependencies {
  readonly discovery: Pick<Discovery, 'signal' | 'onSignal'>
  /** What we say of ourselves now. */
  readonly describe: () => Pick<Signal, 'candidates' | 'nat' | 'relays'>
  /** A member says where it is and that it punches now. */
  readonly onSignal: (from: Member, signal: Signal) => void
  readonly logger: Logger
  readonly nowMs: () => number
}

/** "These are my candidates now, punch now": a call, and the answer to it, so that both ends probe at the same moment. */
export class Signals {
  readonly #deps: SignalsDependencies
  readonly #heardAtMs = new Map<NodeId, number>()
  #unsubscribe: (() => void) | undefined

  constructor(dependencies: SignalsDependencies) {
    this.#deps = dependencies
  }

  start(): void {
    this.#unsubscribe = this.#deps.discovery.onSignal((content, from) => this.#receive(content, from))
  }

  stop(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
    this.#heardAtMs.clear()
  }

  /** Calls a member. It may be that nobody can carry it just now: then the next call comes later anyway. */
  async call(node: NodeId, signal: AbortSignal): Promise<void> {
    await this.#send(node, 'call', randomBytes(8), signal)
  }

  async #send(node: NodeId, kind: Signal['kind'], round: Uint8Array, signal: AbortSignal): Promise<void> {
    try {
      const content = encodeSignal({ kind, round, ...this.#deps.describe() })
      await this.#deps.discovery.signal(node, content, { signal })
    } catch (error) {
      this.#deps.logger.debug('signal not sent', { peer: node, kind, error })
    }
  }

  #receive(content: Uint8Array, from: Member): void {
    const nowMs = this.#deps.nowMs()
    if (nowMs - (this.#heardAtMs.get(from.nodeId) ?? Number.NEGATIVE_INFINITY) < LEAST_BETWEEN_MS) return
    this.#heardAtMs.set(from.nodeId, nowMs)
    let signal: Signal
    try {
      signal = decodeSignal(content)
    } catch (error) {
      this.#deps.logger.info('malformed signal', { peer: from.nodeId, error })
      return
    }
    this.#deps.onSignal(from, signal)
    if (signal.kind === 'call')
      void this.#send(from.nodeId, 'answer', signal.round, AbortSignal.timeout(SEND_TIMEOUT_MS))
  }
}
