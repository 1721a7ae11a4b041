import type { Connection } from '@libp2p/interface'
import { CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'
import { RopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId } from '@ropewalk/shared/identity'
import type { WayIn } from '@ropewalk/shared/membership'
import { raceAddresses } from './address-race.ts'
import { type Fetcher, isRelay } from './face.ts'
import type { Host } from './host.ts'
import { toMultiaddrs, toPeerId } from './libp2p-ids.ts'
import type { Registry } from './registry.ts'
import { fetchRelayRecord } from './well-known.ts'
import { networkError } from './wire.ts'

/** What the dialler stands on. */
export interface DialerOptions {
  readonly registry: Registry
  readonly waysIn: readonly WayIn[]
  readonly fetcher: Fetcher
}

/** What the dialler asks of the host. */
export type DialingHost = Pick<Host, 'dial' | 'getConnections' | 'addEventListener'>

const STAGGER_MS = 250
const AT_ONCE = 8
const MOST_NEARBY = 8
const MOST_HEARD = 1_000

/** Finds where a node may be reached and dials it. */
export class Dialer {
  readonly #options: DialerOptions
  readonly #nearby = new Map<NodeId, readonly string[]>()
  #host: DialingHost | undefined

  constructor(options: DialerOptions) {
    this.#options = options
  }

  start(host: DialingHost): void {
    this.#host = host
    // found by the DHT
    host.addEventListener('peer:discovery', ({ detail }) => {
      const id = detail.id.toString()
      if (isNodeId(id)) this.hear(id, detail.multiaddrs.map(String))
    })
  }

  /** Notes what somebody says about a node: on the local network that may be any stranger. */
  hear(id: NodeId, addresses: readonly string[]): void {
    this.#nearby.delete(id)
    this.#nearby.set(id, addresses.slice(0, MOST_NEARBY))
    if (this.#nearby.size > MOST_HEARD) this.#nearby.delete(this.#nearby.keys().next().value ?? id)
  }

  /** The connection to a node that is up now. */
  existing(id: NodeId): Connection | undefined {
    return this.#host?.getConnections(toPeerId(id)).find((connection) => connection.status === 'open')
  }

  /** Nodes that were heard of on the local network or by the DHT. */
  nearby(): Iterable<NodeId> {
    return this.#nearby.keys()
  }

  /** A connection to a node, the existing one if there is one. @throws RopewalkError `unreachable`, `timeout` */
  async connect(id: NodeId, signal: AbortSignal): Promise<Connection> {
    const open = this.existing(id)
    if (open !== undefined) return open
    const known = this.addressesOf(id)
    const failure = known.length === 0 ? undefined : await this.#tryDial(id, known, signal)
    if (failure !== undefined && !(failure instanceof RopewalkError)) return failure
    const asked = await this.relayAddresses(id, signal)
    const fresh = asked.filter((one) => !known.some((old) => old.equals(one)))
    if (fresh.length > 0) {
      const second = await this.#tryDial(id, fresh, signal)
      if (!(second instanceof RopewalkError)) return second
    }
    throw failure ?? new RopewalkError('unreachable', 'No address of that member is known')
  }

  /** Addresses that are known without asking anybody: what the node and the ticket say first, what strangers say last. */
  addressesOf(id: NodeId): Multiaddr[] {
    const record = this.#options.registry.get(id)?.record?.body
    const ways = this.#options.waysIn.flatMap((way) =>
      way.kind === 'multiaddr' && way.nodeId === id ? way.address : [],
    )
    const all = [...(record?.addresses ?? []), ...ways, ...(this.#nearby.get(id) ?? [])]
    return toMultiaddrs([...new Set(all)], id)
  }

  /** Addresses that a relay's URL tells now, if the node is a relay whose URL is known; none if it cannot be asked. */
  async relayAddresses(id: NodeId, signal: AbortSignal): Promise<Multiaddr[]> {
    const { registry, waysIn, fetcher } = this.#options
    const named = waysIn.flatMap((way) => (way.kind === 'relay' && way.nodeId === id ? way.url : []))
    const member = registry.get(id)?.member
    const url = named[0] ?? (member !== undefined && isRelay(member) ? member.record?.relay?.url : undefined)
    if (url === undefined) return []
    try {
      const record = await fetchRelayRecord(fetcher, { url, nodeId: id }, registry.view(), signal)
      return toMultiaddrs(record.addresses, id)
    } catch (error) {
      if (error instanceof RopewalkError && error.code !== 'wrong-key') return []
      throw networkError(error)
    }
  }

  async #tryDial(
    id: NodeId,
    addresses: readonly Multiaddr[],
    signal: AbortSignal,
  ): Promise<Connection | RopewalkError> {
    const host = this.#host
    if (host === undefined) return new RopewalkError('not-running', 'Discovery is not started')
    let winner: Connection | undefined
    const dialOne = async (address: Multiaddr, limit: AbortSignal): Promise<Connection> => {
      const connection = await dialExpecting(host, { id, address }, limit)
      if (winner !== undefined) connection.abort(new RopewalkError('conflict', 'Another address was faster'))
      winner ??= connection
      return winner
    }
    try {
      return await raceAddresses(addresses, dialOne, { signal, staggerMs: STAGGER_MS, atOnce: AT_ONCE })
    } catch (error) {
      return networkError(error)
    }
  }
}

/**
 * Dials one address, at which one node is expected. Without the id, for libp2p tries the addresses of one id in turn; so
 * who answered is compared here. @throws RopewalkError `wrong-key`
 */
async function dialExpecting(
  host: Pick<Host, 'dial'>,
  { id, address }: { readonly id: NodeId; readonly address: Multiaddr },
  signal: AbortSignal,
): Promise<Connection> {
  const connection = await host.dial(address.decapsulateCode(CODE_P2P), { signal })
  if (connection.remotePeer.toString() === id) return connection
  const wrong = new RopewalkError('wrong-key', 'Another node answers at that address')
  connection.abort(wrong)
  throw wrong
}
