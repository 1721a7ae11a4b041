import { yamux } from '@chainsafe/libp2p-yamux'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import type { SigningKey } from '@ropewalk/shared/identity'
import { silentLogger } from '@ropewalk/shared/logger'
import { type Bundle, encodeBundle, type Network } from '@ropewalk/shared/membership'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { DialingHost } from './dialer.ts'
import { memberNoise } from './handshake.ts'
import { toPrivateKey } from './libp2p-ids.ts'
import { RefusalLog } from './refusals.ts'

/** A host under an attacker's hand: it shows any bundle under any key, believes everybody and speaks any protocol. */
export class RogueHost {
  readonly #host: Libp2p

  private constructor(host: Libp2p) {
    this.#host = host
  }

  static async create(network: Network, key: SigningKey, bundle: Bundle): Promise<RogueHost> {
    const shown = encodeBundle(bundle)
    const host = await createLibp2p({
      privateKey: await toPrivateKey(key),
      addresses: { listen: [] },
      transports: [tcp()],
      connectionEncrypters: [
        memberNoise({
          protocol: '/ropewalk-noise/1',
          network: network.id,
          bundle: () => shown,
          judge: () => undefined,
          refusals: new RefusalLog(silentLogger),
        }),
      ],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    })
    return new RogueHost(host)
  }

  /** Dials; whether the other end stays is another question. */
  dial(address: string): Promise<Connection> {
    return this.#host.dial(multiaddr(address), { signal: AbortSignal.timeout(5_000) })
  }

  /** What a dialler asks of a host. */
  get dialing(): DialingHost {
    return this.#host as unknown as DialingHost
  }

  /** Opens a stream of a protocol. */
  async stream(address: string, protocol: string): Promise<Stream> {
    return await (await this.dial(address)).newStream(protocol, { signal: AbortSignal.timeout(5_000) })
  }

  async stop(): Promise<void> {
    await this.#host.stop()
  }
}
