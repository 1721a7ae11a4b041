import { isAddress, parseAddress } from '@ropewalk/shared/addressing'
import { RopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import {
  decodeBundle,
  newerRevocations,
  openPolicy,
  openRevocations,
  type PolicyStatement,
  type Revocations,
} from '@ropewalk/shared/membership'
import type { Link, Report } from '@ropewalk/shared/records'
import { Assembly, type DiscoveryDependencies } from './assembly.ts'
import type {
  Discovery,
  DiscoveryEvent,
  DiscoveryOptions,
  Member,
  RecordPatch,
  RequestHandler,
  RequestOptions,
  Unsubscribe,
  WellKnown,
} from './face.ts'

/**
 * Makes this node's part in membership and discovery. `start` has the node admitted where it is not yet, and returns when
 * libp2p listens; members come as events. @throws RopewalkError from `start`: an admitter's refusal, `unreachable` after
 * `joinTimeoutMs`, `address-in-use`, `revoked`
 */
export function createDiscovery(options: DiscoveryOptions, dependencies: DiscoveryDependencies): Discovery & Startable {
  const parts = new Assembly(options, dependencies)
  const life = startable({ start: (signal) => parts.start(signal), stop: () => parts.stop() })
  return new MeshDiscovery(parts, life)
}

class MeshDiscovery implements Discovery, Startable {
  readonly network: Discovery['network']
  readonly #parts: Assembly
  readonly #life: Startable
  #self: Member | undefined

  constructor(parts: Assembly, life: Startable) {
    this.#parts = parts
    this.#life = life
    this.network = parts.registry.network
  }

  start(options?: Parameters<Startable['start']>[0]): Promise<void> {
    return this.#life.start(options)
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  get self(): Member {
    const { registry } = this.#parts
    // a revoked node is no member any more, and still knows who it was
    this.#self = registry.get(registry.self)?.member ?? this.#self
    if (this.#self === undefined) throw new RopewalkError('not-running', 'Discovery has not started')
    return this.#self
  }

  members(): readonly Member[] {
    const { registry } = this.#parts
    return [...registry.entries()].flatMap(({ member }) => (member.nodeId === registry.self ? [] : member))
  }

  member(idOrName: string): Member | undefined {
    const { registry } = this.#parts
    if (isNodeId(idOrName)) return registry.get(idOrName)?.member
    const suffix = `.${this.network.name}.internal`
    const bare = idOrName.endsWith('.') ? idOrName.slice(0, -1) : idOrName
    const word = bare.toLowerCase().endsWith(suffix) ? bare.slice(0, -suffix.length) : bare
    return registry.find(isAddress(word) ? parseAddress(word) : word.toLowerCase())?.member
  }

  onChange(listener: (event: DiscoveryEvent) => void): Unsubscribe {
    return this.#parts.announcer.onChange(listener)
  }

  accept(bundle: Uint8Array): Member {
    return this.#parts.registry.acceptBundle(decodeBundle(bundle)).member
  }

  publish(patch: RecordPatch): void {
    this.#parts.publisher.change(patch)
  }

  request(to: NodeId, protocol: string, request: Uint8Array, options?: RequestOptions): Promise<Uint8Array> {
    return this.#parts.requests.request(to, protocol, request, options)
  }

  handle(protocol: string, options: { readonly maxBytes: number }, handler: RequestHandler): Unsubscribe {
    return this.#parts.requests.handle(protocol, options, handler)
  }

  signal(to: NodeId, content: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.#parts.signals.send(to, content, options?.signal)
  }

  onSignal(listener: (content: Uint8Array, from: Member) => void): Unsubscribe {
    return this.#parts.signals.onSignal(listener)
  }

  sendReport(links: readonly Link[]): void {
    this.#parts.reports.send(links)
  }

  onReport(listener: (report: Report, from: Member) => void): Unsubscribe {
    return this.#parts.reports.onReport(listener)
  }

  async revoke(statement: Uint8Array): Promise<Revocations> {
    const { registry } = this.#parts
    const offered = openRevocations(this.network, statement)
    newerRevocations(registry.revocations, offered)
    registry.acceptRevocations(statement)
    return registry.revocations ?? offered
  }

  revocations(): Revocations | undefined {
    return this.#parts.registry.revocations
  }

  async setPolicy(statement: Uint8Array): Promise<PolicyStatement> {
    const { registry } = this.#parts
    const offered = openPolicy(this.network, statement)
    const known = registry.policy
    if (known !== undefined && offered.seq < known.seq) {
      throw new RopewalkError('stale-statement', `Policy ${offered.seq} is older than ${known.seq}, which is known`)
    }
    registry.acceptPolicy(statement)
    return registry.policy ?? offered
  }

  policy(): PolicyStatement | undefined {
    return this.#parts.registry.policy
  }

  connectedTo(nodeId: NodeId): boolean {
    return this.#parts.dialer.existing(nodeId) !== undefined
  }

  rttMs(nodeId: NodeId): number | undefined {
    return this.#parts.roundTrips.get(nodeId)
  }

  listenAddresses(): readonly string[] {
    return this.#parts.listenAddresses()
  }

  wellKnown(): WellKnown {
    const { registry } = this.#parts
    const entry = registry.get(registry.self)
    if (entry?.record === undefined) throw new RopewalkError('not-running', 'No record is signed yet')
    const text = (raw: Uint8Array): string => Buffer.from(raw).toString('base64url')
    return { version: 1, nodeId: registry.self, record: text(entry.record.bytes), bundle: text(entry.bundle) }
  }
}
