import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { decodeBundle, encodeBundle, MAX_BUNDLE_BYTES, rightsAdmit, verifyApplicant } from '@ropewalk/shared/membership'
import { ADMIT_PROTOCOL, decodeAdmitAnswer } from '@ropewalk/shared/records'
import { AdmissionDesk } from './admission-desk.ts'
import { Announcer } from './announcer.ts'
import { RecordBook } from './dht.ts'
import { DhtUpkeep } from './dht-upkeep.ts'
import { Dialer } from './dialer.ts'
import { Entrance } from './entrance.ts'
import type { DiscoveryOptions, Fetcher, Member } from './face.ts'
import { createGate } from './gate.ts'
import { memberNoise } from './handshake.ts'
import { createHost, type Host } from './host.ts'
import { Keeper } from './keeper.ts'
import { toNodeId, toPeerId, toPrivateKey } from './libp2p-ids.ts'
import type { DiscoveryMemory } from './memory.ts'
import { Neighbourhood } from './neighbourhood.ts'
import { Publisher } from './publisher.ts'
import { RefusalLog } from './refusals.ts'
import { Registry } from './registry.ts'
import { Renewal } from './renewal.ts'
import { Reports } from './reports.ts'
import { Requests } from './requests.ts'
import { RoundTrips } from './round-trips.ts'
import { Signals } from './signals.ts'
import { SilenceWatch } from './silence.ts'
import { Sync } from './sync.ts'
import { fetchUnverified } from './well-known.ts'

/** What discovery is given. */
export interface DiscoveryDependencies {
  readonly memory: DiscoveryMemory
  readonly logger: Logger
  /** Fetches a relay's well-known document; over HTTPS without certificate authorities unless given. */
  readonly fetcher?: Fetcher
  /** Wall clock in ms; `Date.now` unless given. */
  readonly now?: () => number
}

const MEMBER_PROTOCOL = '/ropewalk-noise/1'
const JOIN_TIMEOUT_MS = 60_000
const FLUSH_MS = 500
const SWEEP_MS = 1_000

/** All parts of discovery, wired: how they start, stop and answer each other. */
export class Assembly {
  readonly registry: Registry
  readonly announcer: Announcer
  readonly requests: Requests
  readonly publisher: Publisher
  readonly reports: Reports
  readonly signals: Signals
  readonly dialer: Dialer
  readonly roundTrips: RoundTrips
  readonly #options: DiscoveryOptions
  readonly #logger: Logger
  readonly #keeper: Keeper
  readonly #refusals: RefusalLog
  readonly #sync: Sync
  readonly #silence: SilenceWatch | undefined
  readonly #neighbourhood: Neighbourhood
  readonly #book: RecordBook
  readonly #dht: DhtUpkeep
  readonly #entrance: Entrance
  readonly #desk: AdmissionDesk | undefined
  readonly #renewal: Renewal
  #host: Host | undefined
  #sweep: NodeJS.Timeout | undefined

  constructor(options: DiscoveryOptions, dependencies: DiscoveryDependencies) {
    const { network, nodeKey: key, wireguardKeys, waysIn } = options
    const { memory, logger, fetcher = fetchUnverified, now = Date.now } = dependencies
    const registry = new Registry({ network, self: key.nodeId, now })
    const { rights } = verifyApplicant(options.bundle, registry.view(), key.nodeId)
    const isRelay = rights.includes('relay')
    const neighbours = (): NodeId[] => [...this.#sync.links.keys()]
    const relays = (): NodeId[] => neighbours().filter((id) => this.#isRelay(id))
    this.#options = options
    this.#logger = logger
    this.registry = registry
    this.announcer = new Announcer(registry, logger)
    this.#keeper = new Keeper(registry, memory, logger)
    this.#refusals = new RefusalLog(logger)
    this.dialer = new Dialer({ registry, waysIn, fetcher })
    this.#book = new RecordBook(registry)
    this.#dht = new DhtUpkeep({ registry, book: this.#book, logger, reachable: isRelay })
    const { dialer } = this
    this.requests = new Requests({ registry, dialer, logger, lookUp: (id, signal) => this.#dht.lookUp(id, signal) })
    const { requests } = this
    const changed = (peer: NodeId, up: boolean): void => this.#linkChanged(peer, up)
    this.#sync = new Sync({ registry, logger, minRevocationSeq: options.minRevocationSeq ?? 0, changed })
    this.#silence = isRelay ? new SilenceWatch(registry, this.#sync) : undefined
    this.#neighbourhood = new Neighbourhood({ registry, sync: this.#sync, dialer, waysIn, logger })
    const addresses = (): string[] => this.listenAddresses()
    this.publisher = new Publisher({ registry, key, logger, relay: options.relay, addresses, neighbours, relays })
    this.reports = new Reports({ registry, requests, key, logger, relays })
    this.signals = new Signals({ registry, requests, dialer, key, wireguardKeys, logger, neighbours })
    this.#entrance = new Entrance({ registry, dialer, key, waysIn, memory, refusals: this.#refusals, logger })
    this.#desk = rightsAdmit(rights) ? new AdmissionDesk({ registry, key, claims: memory.claims, logger }) : undefined
    this.#renewal = new Renewal({ registry, requests, entrance: this.#entrance, desk: this.#desk, logger })
    this.roundTrips = new RoundTrips(neighbours)
    const desk = this.#desk
    if (desk !== undefined) {
      requests.handle(ADMIT_PROTOCOL, { maxBytes: MAX_BUNDLE_BYTES }, (raw, from) => desk.answer(raw, from.nodeId))
    }
    registry.listen((event) => {
      if (event.kind === 'removed') this.#cut(event.member, event.why)
      if (event.kind === 'own-record' && this.publisher.meetOwn(event.seq) === 'second') {
        const hint = 'stop one of the two, or give it a ticket of its own'
        this.announcer.warn('ticket-in-use', 'Another process uses the key of this node', hint)
      }
    })
  }

  /** Admits this node where it is not yet, then listens. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#keeper.load()
    await this.#enter(signal)
    const host = await this.#makeHost()
    this.#host = host
    this.#watchConnections(host)
    this.dialer.start(host)
    await this.#sync.start(host)
    await this.requests.start(host)
    await startListening(host)
    this.#keeper.start()
    this.publisher.start()
    this.roundTrips.start(host)
    this.#dht.start(host)
    this.#renewal.start()
    this.#neighbourhood.start(host)
    this.#sweep = setInterval(() => {
      this.registry.sweep()
      this.publisher.freshen()
    }, SWEEP_MS)
  }

  /** Says `gone`, ends all connections, keeps what is known. */
  async stop(): Promise<void> {
    clearInterval(this.#sweep)
    this.#neighbourhood.stop()
    this.#renewal.stop()
    this.roundTrips.stop()
    this.#silence?.stop()
    this.#dht.stop()
    if (this.#host === undefined) return
    this.publisher.stop()
    await this.#sync.stop(FLUSH_MS)
    await this.#host.stop()
    await this.#keeper.stop()
  }

  /** Multiaddrs of the host, with its id. */
  listenAddresses(): string[] {
    return this.#host?.getMultiaddrs().map(String) ?? []
  }

  async #enter(signal: AbortSignal): Promise<void> {
    const { bundle, nodeKey, joinTimeoutMs = JOIN_TIMEOUT_MS } = this.#options
    try {
      this.registry.acceptBundle(bundle, { proven: nodeKey.nodeId })
      return
    } catch (error) {
      // no admission yet, or one that ended, or by an admitter that is unknown here: the door settles all three
      const settled = isRopewalkError(error, 'not-admitted') || isRopewalkError(error, 'certificate-expired')
      if (!settled) throw error
      this.#logger.info('asking to be admitted', { reason: error.message })
    }
    if (await this.#renewedBySelf()) return
    const limited = joinTimeoutMs === 0 ? signal : AbortSignal.any([signal, AbortSignal.timeout(joinTimeoutMs)])
    await this.#entrance.enter(bundle, limited)
  }

  /** An admitter that was away too long may find nobody to renew it: the root gave the right, and only the root takes it. */
  async #renewedBySelf(): Promise<boolean> {
    const { bundle, nodeKey } = this.#options
    if (this.#desk === undefined || bundle.admission === undefined) return false
    try {
      this.registry.acceptAuthority(bundle, nodeKey.nodeId)
      const answer = decodeAdmitAnswer(await this.#desk.answer(encodeBundle(bundle), nodeKey.nodeId))
      if (answer.kind !== 'admitted') return false
      await this.#entrance.accept(bundle, answer)
      return true
    } catch (error) {
      if (!isRopewalkError(error)) throw error
      return false
    }
  }

  async #makeHost(): Promise<Host> {
    const { network, nodeKey, listen, announce = [], mdns = true } = this.#options
    const refusals = this.#refusals
    const bundle = (): Uint8Array => this.registry.get(nodeKey.nodeId)?.bundle ?? encodeBundle(this.#options.bundle)
    const member = memberNoise({
      protocol: MEMBER_PROTOCOL,
      network: network.id,
      bundle,
      judge: ({ bundle: raw, nodeId }) => void this.registry.acceptBundle(decodeBundle(raw), { proven: nodeId }),
      refusals,
    })
    const desk = this.#desk
    const door =
      desk &&
      memberNoise({
        protocol: ADMIT_PROTOCOL,
        network: network.id,
        bundle,
        judge: (shown, signal) => desk.serve(shown, signal),
        refusals,
      })
    return await createHost({
      key: await toPrivateKey(nodeKey),
      network: network.id,
      listen: listen.map(({ address, port }) => `/${address.includes(':') ? 'ip6' : 'ip4'}/${address}/tcp/${port}`),
      announce,
      nearby: mdns ? (id, addresses) => isNodeId(id) && this.dialer.hear(id, addresses) : undefined,
      encrypters: door === undefined ? [member] : [member, door],
      gater: createGate(this.registry),
      book: this.#book,
    })
  }

  #watchConnections(host: Host): void {
    host.addEventListener('peer:connect', ({ detail }) => {
      this.announcer.connection(toNodeId(detail), true)
    })
    host.addEventListener('peer:disconnect', ({ detail }) => {
      this.roundTrips.forget(toNodeId(detail))
      this.announcer.connection(toNodeId(detail), false)
    })
    host.addEventListener('self:peer:update', () => this.publisher.refresh())
  }

  #linkChanged(peer: NodeId, up: boolean): void {
    this.#silence?.linkChanged(peer, up)
    this.publisher.linksChanged(this.#isRelay(peer))
    if (!up) return
    this.roundTrips.measure(peer)
    if (this.#isRelay(peer)) this.reports.relayLinked(peer)
  }

  /** Who is no member any more loses everything it holds here, at once. */
  #cut({ nodeId, name }: Member, why: 'revoked' | 'left' | 'unfounded'): void {
    const reason = {
      revoked: new RopewalkError('revoked', `“${name}” is revoked`),
      left: new RopewalkError('certificate-expired', `The admission of “${name}” has ended`),
      unfounded: new RopewalkError('not-admitted', `“${name}” was admitted by a node that was revoked before`),
    }[why]
    this.#logger.warn(why === 'revoked' ? 'cut a revoked member' : 'cut who is no member any more', {
      code: reason.code,
      nodeId,
      name,
    })
    if (nodeId === this.registry.self) {
      this.#neighbourhood.stop()
      this.announcer.warn('revoked', 'This node is revoked', 'ask for a new ticket, and join with a new state folder')
      for (const connection of this.#host?.getConnections() ?? []) connection.abort(reason)
      return
    }
    const connections = this.#host?.getConnections(toPeerId(nodeId)) ?? []
    const list = this.registry.revocations?.bytes
    void this.#sync.dismiss(nodeId, list, reason).then(() => {
      for (const connection of connections) connection.abort(reason)
    })
  }

  #isRelay(id: NodeId): boolean {
    return this.registry.get(id)?.verified.rights.includes('relay') === true
  }
}

async function startListening(host: Host): Promise<void> {
  try {
    await host.start()
  } catch (error) {
    const text = error instanceof Error ? `${error.message} ${String(error.cause ?? '')}` : String(error)
    if (!/EADDRINUSE|listen|addresses/i.test(text)) throw error
    throw new RopewalkError('address-in-use', 'libp2p cannot listen on any address it was given', {
      hint: 'another program may hold the port: choose one with --listen-port',
      cause: error,
    })
  }
}
