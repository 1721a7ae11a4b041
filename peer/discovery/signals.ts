import { bytes, decodeWith, encodeWith, field, struct, union } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey, WireguardKeys } from '@ropewalk/shared/identity'
import { toHex } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  MAX_ENVELOPE_BYTES,
  MAX_ENVELOPE_CONTENT_BYTES,
  openEnvelope,
  SIGNAL_PROTOCOL,
  sealEnvelope,
} from '@ropewalk/shared/records'
import { statementHash } from '@ropewalk/shared/statement'
import type { Dialer } from './dialer.ts'
import type { Member, Unsubscribe } from './face.ts'
import type { Registry } from './registry.ts'
import type { Requests } from './requests.ts'

/** What signalling stands on. */
export interface SignalsOptions {
  readonly registry: Registry
  readonly requests: Requests
  readonly dialer: Dialer
  readonly key: SigningKey
  readonly wireguardKeys: WireguardKeys
  readonly logger: Logger
  /** Neighbours there is a link to. */
  neighbours(): readonly NodeId[]
}

type Listener = (content: Uint8Array, from: Member) => void

const MAX_BYTES = MAX_ENVELOPE_BYTES + 128
const CARRIERS = 2
const REMEMBERED = 4_096
const TIMEOUT_MS = 3_000
const EMPTY = new Uint8Array()

const message = union({
  /** Over a connection of the two: the connection proves the sender and hides the content. */
  direct: [0, struct({ content: field(1, bytes(0, MAX_ENVELOPE_CONTENT_BYTES)) })],
  carried: [1, struct({ envelope: field(1, bytes(1, MAX_ENVELOPE_BYTES + 64)) })],
})

/** Brings small messages to members, over a link or sealed through common neighbours. */
export class Signals {
  readonly #options: SignalsOptions
  readonly #listeners = new Set<Listener>()
  readonly #seen = new Set<string>()

  constructor(options: SignalsOptions) {
    this.#options = options
    options.requests.handle(SIGNAL_PROTOCOL, { maxBytes: MAX_BYTES }, (raw, from) => this.#take(raw, from))
  }

  /** Sends content to a member. @throws RopewalkError `unknown-peer`, `unreachable`, `too-large` */
  async send(to: NodeId, content: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { registry, dialer, key } = this.#options
    const member = registry.get(to)?.member
    if (member === undefined) throw new RopewalkError('unknown-peer', `No member ${to} is known`)
    if (dialer.existing(to) !== undefined) {
      const sent = await this.#deliver(to, encodeWith(message, { kind: 'direct', content }), signal).then(
        () => true,
        () => false, // the link may be dying: common neighbours are asked next
      )
      if (sent) return
    }
    const envelope = sealEnvelope({ from: key, to: member, content, nowMs: registry.now() })
    await this.#carry(envelope, this.#carriers(member, new Set()), signal)
  }

  onSignal(listener: Listener): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async #take(raw: Uint8Array, from: Member): Promise<Uint8Array> {
    const read = decodeWith(message, raw, MAX_BYTES)
    if (read.kind === 'direct') this.#tell(read.content, from)
    else await this.#receive(decodeEnvelope(read.envelope), from)
    return EMPTY
  }

  async #receive(envelope: Envelope, carrier: Member): Promise<void> {
    const { registry, wireguardKeys, dialer } = this.#options
    // first: a stranger's envelopes must not push members' out of memory, nor one that comes before its sender's bundle be lost
    const sender = registry.get(envelope.from)?.member
    if (sender === undefined) throw new RopewalkError('not-admitted', 'The envelope is not a member’s')
    const id = toHex(statementHash(envelope.statement))
    if (this.#seen.has(id)) return
    this.#remember(id)
    if (envelope.to === registry.self) {
      this.#tell(openEnvelope(envelope, { nodeId: registry.self, keys: wireguardKeys }, registry.now()), sender)
      return
    }
    const target = registry.get(envelope.to)?.member
    if (target === undefined || envelope.hopsLeft === 0)
      throw new RopewalkError('unreachable', 'No way to the addressee')
    const next = { ...envelope, hopsLeft: envelope.hopsLeft - 1 }
    const linked = dialer.existing(envelope.to) !== undefined
    await this.#carry(next, linked ? [envelope.to] : this.#carriers(target, new Set([carrier.nodeId, envelope.from])))
  }

  /** Hands an envelope to some carriers at once; one that accepts is enough. */
  async #carry(envelope: Envelope, carriers: readonly NodeId[], signal?: AbortSignal): Promise<void> {
    const carried = encodeWith(message, { kind: 'carried', envelope: encodeEnvelope(envelope) })
    try {
      await Promise.any(carriers.map((carrier) => this.#deliver(carrier, carried, signal)))
    } catch (cause) {
      throw new RopewalkError('unreachable', 'No neighbour could bring the message there', { cause })
    }
  }

  async #deliver(to: NodeId, content: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    await this.#options.requests.request(to, SIGNAL_PROTOCOL, content, { signal, timeoutMs: TIMEOUT_MS, maxBytes: 16 })
  }

  /** Linked neighbours that say they are linked to the addressee, then relays. */
  #carriers(target: Member, without: ReadonlySet<NodeId>): NodeId[] {
    const { neighbours, registry } = this.#options
    const near = new Set([...(target.record?.relays ?? []), ...(target.record?.neighbours ?? [])])
    const rank = (id: NodeId): number => {
      const entry = registry.get(id)
      const knows = near.has(id) || entry?.record?.body.neighbours.includes(target.nodeId) === true
      return (knows ? 0 : 2) + (entry?.verified.rights.includes('relay') === true ? 0 : 1)
    }
    const linked = neighbours().filter((id) => !without.has(id) && id !== target.nodeId)
    return linked.toSorted((a, b) => rank(a) - rank(b)).slice(0, CARRIERS)
  }

  #tell(content: Uint8Array, from: Member): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(content, from)
      } catch (error) {
        this.#options.logger.error('a listener of signals failed', { error })
      }
    }
  }

  #remember(id: string): void {
    this.#seen.add(id)
    const [oldest] = this.#seen
    if (this.#seen.size > REMEMBERED && oldest !== undefined) this.#seen.delete(oldest)
  }
}
