import { randomBytes } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey, WireguardKeys } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import {
  decodeEnvelope,
  decodeSignal,
  encodeEnvelope,
  encodeSignal,
  MAX_ENVELOPE_BYTES,
  openEnvelope,
  SIGNAL_PROTOCOL,
  type Signal,
  sealEnvelope,
} from '@ropewalk/shared/records'
import type { MeshDirectory, MeshMember } from './mesh-directory.ts'

const SIGNAL_TIMEOUT_MS = 3_000
/** A member that calls more often than this is not answered more often. */
const LEAST_BETWEEN_MS = 200
/** Envelopes seen lately, so that a copy of one starts nothing twice. */
const REMEMBERED = 1_024

export interface SignalsOptions {
  readonly signingKey: SigningKey
  readonly wireguardKeys: WireguardKeys
}

export interface SignalsDependencies {
  readonly directory: MeshDirectory
  /** What we say of ourselves now. */
  readonly describe: () => Pick<Signal, 'candidates' | 'nat' | 'relays'>
  /** A member says where it is and that it punches now. */
  readonly onSignal: (from: MeshMember, signal: Signal) => void
  readonly logger: Logger
  readonly nowMs: () => number
}

/**
 * "These are my candidates now, punch now", sealed for the member it is meant for and signed: by an open connection if there
 * is one, else through neighbours that both have.
 */
export class Signals {
  readonly #options: SignalsOptions
  readonly #deps: SignalsDependencies
  readonly #heardAtMs = new Map<NodeId, number>()
  readonly #seen = new Set<string>()
  #unhandle: (() => void) | undefined

  constructor(options: SignalsOptions, dependencies: SignalsDependencies) {
    this.#options = options
    this.#deps = dependencies
  }

  start(): void {
    this.#unhandle = this.#deps.directory.handle(
      SIGNAL_PROTOCOL,
      { maxBytes: MAX_ENVELOPE_BYTES + 64 },
      (bytes, from) => this.#receive(bytes, from),
    )
  }

  stop(): void {
    this.#unhandle?.()
    this.#unhandle = undefined
  }

  /** Calls a member: it answers with its own candidates, and both punch. False when no neighbour could carry it. */
  async call(member: MeshMember, signal: AbortSignal): Promise<boolean> {
    return await this.#send(member, 'call', randomBytes(8), signal)
  }

  async #send(member: MeshMember, kind: Signal['kind'], round: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const content = encodeSignal({ kind, round, ...this.#deps.describe() })
    const nowMs = this.#deps.nowMs()
    const envelope = sealEnvelope({ from: this.#options.signingKey, to: member, content, nowMs })
    const bytes = encodeEnvelope(envelope)
    for (const carrier of this.#carriers(member.nodeId)) {
      try {
        await this.#request(carrier, bytes, signal)
        return true
      } catch (error) {
        this.#deps.logger.debug('signal not carried', { carrier, peer: member.nodeId, error })
      }
    }
    return false
  }

  /** Who may carry an envelope: the member itself, then relays and others that we are connected to, its own neighbours first. */
  #carriers(to: NodeId): NodeId[] {
    const { directory } = this.#deps
    if (directory.connectedTo(to)) return [to]
    const record = directory.member(to)?.record
    const near = new Set([...(record?.relays ?? []), ...(record?.neighbours ?? [])])
    const connected = directory.members().filter(({ nodeId }) => directory.connectedTo(nodeId))
    const rank = (member: MeshMember) => (near.has(member.nodeId) ? 0 : member.record?.relay !== undefined ? 1 : 2)
    return connected
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, 4)
      .map(({ nodeId }) => nodeId)
  }

  async #receive(bytes: Uint8Array, carrier: MeshMember): Promise<Uint8Array> {
    const { directory, logger } = this.#deps
    const envelope = decodeEnvelope(bytes)
    if (envelope.to !== directory.self) return await this.#pass(envelope)
    const from = directory.member(envelope.from)
    if (from === undefined || from.state === 'revoked')
      throw new RopewalkError('unknown-peer', 'The sender is no member')
    const content = openEnvelope(
      envelope,
      { nodeId: directory.self, keys: this.#options.wireguardKeys },
      this.#deps.nowMs(),
    )
    if (this.#isRepeated(envelope.statement.bytes) || this.#isTooSoon(from.nodeId)) return new Uint8Array()
    const signal = decodeSignal(content)
    logger.debug('signal received', { peer: from.nodeId, carrier: carrier.nodeId, kind: signal.kind })
    this.#deps.onSignal(from, signal)
    if (signal.kind === 'call') void this.#send(from, 'answer', signal.round, AbortSignal.timeout(SIGNAL_TIMEOUT_MS))
    return new Uint8Array()
  }

  async #pass(envelope: ReturnType<typeof decodeEnvelope>): Promise<Uint8Array> {
    if (envelope.hopsLeft === 0) throw new RopewalkError('unreachable', 'The envelope has no hop left')
    if (!this.#deps.directory.connectedTo(envelope.to)) throw new RopewalkError('unreachable', 'No link to that member')
    const bytes = encodeEnvelope({ ...envelope, hopsLeft: envelope.hopsLeft - 1 })
    return await this.#request(envelope.to, bytes, AbortSignal.timeout(SIGNAL_TIMEOUT_MS))
  }

  #request(to: NodeId, bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(SIGNAL_TIMEOUT_MS)])
    return this.#deps.directory.request(to, SIGNAL_PROTOCOL, bytes, { signal: limited, maxBytes: 64 })
  }

  #isRepeated(statement: Uint8Array): boolean {
    const key = Buffer.from(statement.subarray(-32)).toString('base64') // the end of the signature
    if (this.#seen.has(key)) return true
    this.#seen.add(key)
    const [oldest] = this.#seen
    if (this.#seen.size > REMEMBERED && oldest !== undefined) this.#seen.delete(oldest)
    return false
  }

  #isTooSoon(node: NodeId): boolean {
    const nowMs = this.#deps.nowMs()
    if (nowMs - (this.#heardAtMs.get(node) ?? 0) < LEAST_BETWEEN_MS) return true
    this.#heardAtMs.set(node, nowMs)
    return false
  }
}
