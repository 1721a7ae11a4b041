import { yamux } from '@chainsafe/libp2p-yamux'
import { type Identify, identify } from '@libp2p/identify'
import {
  type ConnectionGater,
  type Ed25519PrivateKey,
  type PeerDiscovery,
  peerDiscoverySymbol,
} from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { hash, type NetworkId, networkIdBytes, toHex } from '@ropewalk/shared/identity'
import { createLibp2p, type Libp2p } from 'libp2p'
import { createDht, type RecordBook } from './dht.ts'
import type { memberNoise } from './handshake.ts'

/** The libp2p host of a member. */
export type Host = Libp2p<{ identify: Identify; ping: Ping; dht: KadDHT }>

/** What a host is made of. */
export interface HostOptions {
  readonly key: Ed25519PrivateKey
  readonly network: NetworkId
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[]
  /** Multiaddrs to announce beside those of the interfaces. */
  readonly announce: readonly string[]
  /** Hears who is announced on the local network, by whomever; absent: mDNS is off. */
  readonly nearby?: ((id: string, addresses: readonly string[]) => void) | undefined
  readonly encrypters: readonly ReturnType<typeof memberNoise>[]
  readonly gater: ConnectionGater
  readonly book: RecordBook
}

const PREFIX = 'ropewalk'

/** Makes the host with the settings that a mesh needs; the defaults are for a public network of strangers. */
export async function createHost(options: HostOptions): Promise<Host> {
  return await createLibp2p({
    start: false, // protocols are answered before anybody can ask
    privateKey: options.key,
    nodeInfo: { name: PREFIX, version: '1', userAgent: PREFIX },
    addresses: { listen: [...options.listen], appendAnnounce: [...options.announce] },
    transports: [tcp({ maxConnections: 4_096 })],
    connectionEncrypters: [...options.encrypters],
    streamMuxers: [yamux()],
    connectionGater: options.gater,
    connectionManager: {
      maxConnections: 2_200,
      maxIncomingPendingConnections: 256, // 10 refuses a wave of joiners
      inboundConnectionThreshold: 500, // 5 a second from one address refuses a whole site behind one NAT
      maxParallelDials: 64, // each address of a race is one
      dialTimeout: 10_000,
      addressDialTimeout: 5_000,
      reconnectRetries: 0, // links are kept by the neighbourhood, which knows more
    },
    connectionMonitor: { enabled: true, pingInterval: 60_000, protocolPrefix: PREFIX },
    services: {
      identify: identify({ protocolPrefix: PREFIX }),
      ping: ping({ protocolPrefix: PREFIX }),
      dht: createDht(options.book, options.network),
      ...(options.nearby === undefined ? {} : { lan: lanWatch(options.network, options.nearby) }),
    },
  })
}

/**
 * mDNS beside libp2p's own discovery, which would write what strangers announce into the peer store: everything that
 * dials by id alone, as the DHT does, would try that first.
 */
function lanWatch(network: NetworkId, nearby: NonNullable<HostOptions['nearby']>) {
  return (components: Parameters<ReturnType<typeof mdns>>[0]): PeerDiscovery => {
    const watch = mdns({ serviceTag: lanTag(network), interval: 20_000 })(components)
    watch.addEventListener('peer', ({ detail }) => nearby(detail.id.toString(), detail.multiaddrs.map(String)))
    return Object.defineProperty(watch, peerDiscoverySymbol, { value: undefined })
  }
}

/** The service tag on the local network: members find each other, others see a hash. */
export function lanTag(network: NetworkId): string {
  return `_rw${toHex(hash('ropewalk/lan-tag/1', networkIdBytes(network))).slice(0, 12)}._udp.local`
}
