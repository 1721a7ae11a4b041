import { type NoiseComponents, type NoiseExtensions, noise } from '@chainsafe/libp2p-noise'
import type { ConnectionEncrypter, MessageStream, SecureConnectionOptions, SecuredConnection } from '@libp2p/interface'
import { RopewalkError } from '@ropewalk/shared/errors'
import { hash, type NetworkId, type NodeId, networkIdBytes } from '@ropewalk/shared/identity'
import { toNodeId } from './libp2p-ids.ts'
import type { RefusalLog } from './refusals.ts'

/** A secured connection before anything else runs over it, and what the other end showed inside the handshake. */
export interface Shown {
  readonly connection: MessageStream
  readonly nodeId: NodeId
  /** Its bundle as bytes that may be hostile. */
  readonly bundle: Uint8Array
}

/** What makes a handshake of ours. */
export interface HandshakeOptions {
  /** Name under which the two ends agree on it; not `/noise`, so that other libp2p networks do not meet ours. */
  readonly protocol: string
  readonly network: NetworkId
  /** The own bundle as it is now. */
  bundle(): Uint8Array
  /** Judges the other end. What it throws ends the connection before a muxer, identify or the DHT can be reached. */
  judge(shown: Shown, options?: SecureConnectionOptions): Promise<void> | void
  readonly refusals: RefusalLog
}

type Secure = (
  connection: MessageStream,
  options?: SecureConnectionOptions,
) => Promise<SecuredConnection<NoiseExtensions>>

/**
 * Noise XX (libp2p's) with the bundle inside its payload and the network in its prologue: who does not know the network
 * cannot even read our certificate, and who shows no valid one is refused without a round trip more.
 */
export function memberNoise(options: HandshakeOptions): (components: NoiseComponents) => ConnectionEncrypter {
  return (components) => new MemberNoise(options, components)
}

class MemberNoise implements ConnectionEncrypter {
  readonly protocol: string
  readonly #options: HandshakeOptions
  readonly #components: NoiseComponents
  #base: { readonly bundle: Uint8Array; readonly noise: ConnectionEncrypter<NoiseExtensions> } | undefined

  constructor(options: HandshakeOptions, components: NoiseComponents) {
    this.protocol = options.protocol
    this.#options = options
    this.#components = components
  }

  get [Symbol.toStringTag](): string {
    return 'ropewalk-noise'
  }

  secureOutbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    return this.#secure((...args) => this.#noise().secureOutbound(...args), connection, options)
  }

  secureInbound(connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    return this.#secure((...args) => this.#noise().secureInbound(...args), connection, options)
  }

  async #secure(secure: Secure, raw: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> {
    let nodeId: NodeId | undefined
    try {
      const secured = await secure(raw, options)
      nodeId = toNodeId(secured.remotePeer)
      const [bundle, ...more] = secured.remoteExtensions?.webtransportCerthashes ?? []
      if (bundle === undefined || more.length > 0) {
        throw new RopewalkError('not-admitted', 'It showed no certificate')
      }
      await this.#options.judge({ connection: secured.connection, nodeId, bundle }, options)
      return secured
    } catch (error) {
      const reason =
        error instanceof HandshakeOver
          ? error
          : this.#options.refusals.note(foreign(error), { nodeId, address: addressOf(raw) })
      raw.abort(reason)
      throw reason
    }
  }

  /** The extension is fixed when noise is made: another bundle needs another one. */
  #noise(): ConnectionEncrypter<NoiseExtensions> {
    const bundle = this.#options.bundle()
    if (this.#base?.bundle !== bundle) {
      const prologueBytes = hash('ropewalk/noise-prologue/1', networkIdBytes(this.#options.network))
      // the payload's only byte-valued extension; inside this network its meaning is ours
      const extensions = { webtransportCerthashes: [bundle] }
      this.#base = { bundle, noise: noise({ prologueBytes, extensions })(this.#components) }
    }
    return this.#base.noise
  }
}

/** Thrown by a judge that is done with a connection without a complaint. */
export class HandshakeOver extends Error {
  override readonly name = 'HandshakeOver'
}

/** A failure below us: the other end is of another network, speaks something else, or went away. */
function foreign(error: unknown): unknown {
  if (error instanceof RopewalkError || !(error instanceof Error)) return error
  if (['AbortError', 'TimeoutError'].includes(error.name)) return error
  return new RopewalkError(
    'protocol-error',
    'The handshake failed: another network, another program, or it went away',
    { cause: error },
  )
}

function addressOf(connection: MessageStream): string | undefined {
  return 'remoteAddr' in connection ? String(connection.remoteAddr) : undefined
}
