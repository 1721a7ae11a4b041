import { yamux } from '@chainsafe/libp2p-yamux'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import type { SigningKey } from '@ropewalk/shared/identity'
import { silentLogger } from '@ropewalk/shared/logger'
import { type Bundle, encodeBundle, type Network } from '@ropewalk/shared/membership'
import { ADMIT_PROTOCOL, type AdmitAnswer, decodeAdmitAnswer } from '@ropewalk/shared/records'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { DialingHost } from './dialer.ts'
import { HandshakeOver, memberNoise } from './handshake.ts'
import { toPrivateKey } from './libp2p-ids.ts'
import { RefusalLog } from './refusals.ts'

/** A host under an attacker's hand: it shows any bundle under any key, believes everybody and speaks any protocol. */
export class RogueHost {
  readonly #host: Libp2p

  readonly #answer: Promise<AdmitAnswer>
  #connection: Promise<Connection> | undefined

  private constructor(host: Libp2p, answer: Promise<AdmitAnswer>) {
    this.#host = host
    this.#answer = answer
  }

  /** A host that comes as a member or, at the `door`, as an applicant; a bundle may be any bytes. */
  static async create(
    network: Network,
    key: SigningKey,
    bundle: Bundle | Uint8Array,
    as: 'member' | 'door' = 'member',
  ): Promise<RogueHost> {
    const shown = bundle instanceof Uint8Array ? bundle : encodeBundle(bundle)
    const answered = Promise.withResolvers<AdmitAnswer>()
    const host = await createLibp2p({
      privateKey: await toPrivateKey(key),
      addresses: { listen: [] },
      transports: [tcp()],
      connectionEncrypters: [
        memberNoise({
          protocol: as === 'door' ? ADMIT_PROTOCOL : '/ropewalk-noise/1',
          network: network.id,
          bundle: () => shown,
          judge: async ({ connection }) => {
            if (as === 'member') return
            answered.resolve(decodeAdmitAnswer((await lpStream(connection).read()).subarray()))
            throw new HandshakeOver('heard')
          },
          refusals: new RefusalLog(silentLogger),
        }),
      ],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    })
    return new RogueHost(host, answered.promise)
  }

  /** What an admitter answers at its door. */
  async heard(address: string): Promise<AdmitAnswer> {
    await this.dial(address).catch(() => undefined)
    return await this.#answer
  }

  /** Dials; whether the other end stays is another question. */
  dial(address: string): Promise<Connection> {
    return this.#host.dial(multiaddr(address), { signal: AbortSignal.timeout(5_000) })
  }

  /** What a dialler asks of a host. */
  get dialing(): DialingHost {
    return this.#host as unknown as DialingHost
  }

  /** Opens a stream of a protocol; over a new connection when the other end has cut the last one. */
  async stream(address: string, protocol: string): Promise<Stream> {
    for (let attempts = 3; ; attempts--) {
      this.#connection ??= this.#host.dial(multiaddr(address), { force: true, signal: AbortSignal.timeout(5_000) })
      const used = this.#connection
      try {
        return await (await used).newStream(protocol, { signal: AbortSignal.timeout(5_000) })
      } catch (error) {
        if (this.#connection === used) {
          this.#connection = undefined
          used.then(
            (connection) => connection.abort(new Error('cut')),
            () => {},
          )
        }
        if (attempts === 0) throw error
      }
    }
  }

  async stop(): Promise<void> {
    await this.#host.stop()
  }
}
