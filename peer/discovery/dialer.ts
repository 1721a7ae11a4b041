import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { WayIn } from '@ropewalk/shared/membership'
import type { Fetcher } from './face.ts'
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

/** Finds where a node may be reached and dials it. */
export class Dialer {
  readonly #options: DialerOptions
  readonly #nearby = new Map<NodeId, readonly string[]>()
  #host: Host | undefined

  constructor(options: DialerOptions) {
    this.#options = options
  }

  start(host: Host): void {
    this.#host = host
    // found on the local network
    host.addEventListener('peer:discovery', ({ detail }) => {
      const id = detail.id.toString() as NodeId
      this.#nearby.set(id, detail.multiaddrs.map(String).slice(0, 8))
      if (this.#nearby.size > 1_000) this.#nearby.delete(this.#nearby.keys().next().value ?? id)
    })
  }

  /** The connection to a node that is up now. */
  existing(id: NodeId): Connection | undefined {
    return this.#host?.getConnections(toPeerId(id)).find((connection) => connection.status === 'open')
  }

  /** Nodes seen on the local network. */
  nearby(): Iterable<NodeId> {
    return this.#nearby.keys()
  }

  /** A connection to a node, the existing one if there is one. @throws RopewalkError `unreachable`, `timeout` */
  async connect(id: NodeId, signal: AbortSignal): Promise<Connection> {
    const open = this.existing(id)
    if (open !== undefined) return open
    const known = this.addressesOf(id)
    const failure = known.length === 0 ? undefined : await this.#tryDial(known, signal)
    if (failure !== undefined && !(failure instanceof RopewalkError)) return failure
    const asked = await this.relayAddresses(id, signal)
    const fresh = asked.filter((one) => !known.some((old) => old.equals(one)))
    if (fresh.length > 0) {
      const second = await this.#tryDial(fresh, signal)
      if (!(second instanceof RopewalkError)) return second
    }
    throw failure ?? new RopewalkError('unreachable', 'No address of that member is known')
  }

  /** Addresses that are known without asking anybody. */
  addressesOf(id: NodeId): Multiaddr[] {
    const record = this.#options.registry.get(id)?.record?.body
    const ways = this.#options.waysIn.flatMap((way) =>
      way.kind === 'multiaddr' && way.nodeId === id ? way.address : [],
    )
    const all = [...(this.#nearby.get(id) ?? []), ...(record?.addresses ?? []), ...ways]
    return toMultiaddrs([...new Set(all)], id)
  }

  /** Addresses that a relay's URL tells now, if the node is a relay whose URL is known; none if it cannot be asked. */
  async relayAddresses(id: NodeId, signal: AbortSignal): Promise<Multiaddr[]> {
    const { registry, waysIn, fetcher } = this.#options
    const named = waysIn.flatMap((way) => (way.kind === 'relay' && way.nodeId === id ? way.url : []))
    const url = named[0] ?? registry.get(id)?.record?.body.relay?.url
    if (url === undefined) return []
    try {
      const record = await fetchRelayRecord(fetcher, { url, nodeId: id }, registry.view(), signal)
      return toMultiaddrs(record.addresses, id)
    } catch (error) {
      if (error instanceof RopewalkError && error.code !== 'wrong-key') return []
      throw networkError(error)
    }
  }

  async #tryDial(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Connection | RopewalkError> {
    if (this.#host === undefined) return new RopewalkError('not-running', 'Discovery is not started')
    try {
      return await this.#host.dial([...addresses], { signal })
    } catch (error) {
      return networkError(error)
    }
  }
}
