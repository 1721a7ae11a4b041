import { yamux } from '@chainsafe/libp2p-yamux'
import type { Ed25519PrivateKey } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NetworkId, NodeId } from '@ropewalk/shared/identity'
import { ADMIT_PROTOCOL, type AdmitAnswer, decodeAdmitAnswer, MAX_ADMIT_BYTES } from '@ropewalk/shared/records'
import { createLibp2p } from 'libp2p'
import { raceAddresses } from './address-race.ts'
import { HandshakeOver, memberNoise, type Shown } from './handshake.ts'
import type { RefusalLog } from './refusals.ts'

/** One knock at one admitter. */
export interface Knock {
  readonly network: NetworkId
  readonly key: Ed25519PrivateKey
  /** The applicant's bundle as bytes. */
  readonly bundle: Uint8Array
  readonly at: { readonly nodeId: NodeId; readonly addresses: readonly Multiaddr[] }
  /** Judges the one who opens; its key is proven to be the one that was expected. @throws RopewalkError */
  checkDoor(bundle: Uint8Array, nodeId: NodeId): void
  readonly refusals: RefusalLog
  readonly signal: AbortSignal
}

/** Half a second each: a second handshake with the same door costs it more than it gains. */
const RACE = { staggerMs: 500, atOnce: 8 } as const

/**
 * Asks an admitter for an admission, over a libp2p host that lives as long as the question: it listens nowhere and can
 * speak the admission protocol only. @throws RopewalkError `unreachable` and what `checkDoor` throws; a refusal is an answer
 */
export async function knock(options: Knock): Promise<AdmitAnswer> {
  const answered = Promise.withResolvers<AdmitAnswer>()
  answered.promise.catch(() => undefined)
  const judge = async ({ connection, nodeId, bundle }: Shown): Promise<void> => {
    try {
      if (nodeId !== options.at.nodeId) throw new RopewalkError('wrong-key', 'Another node answers at that address')
      options.checkDoor(bundle, nodeId)
      const stream = lpStream(connection, { maxDataLength: MAX_ADMIT_BYTES })
      answered.resolve(decodeAdmitAnswer((await stream.read({ signal: options.signal })).subarray()))
    } catch (error) {
      // another address may still lead to the door
      if (error instanceof RopewalkError && error.code !== 'wrong-key') answered.reject(error)
      throw error
    }
    throw new HandshakeOver('the admitter has answered')
  }
  const { network, key, refusals } = options
  const host = await createLibp2p({
    privateKey: key,
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [
      memberNoise({ protocol: ADMIT_PROTOCOL, network, bundle: () => options.bundle, judge, refusals }),
    ],
    streamMuxers: [yamux()],
    connectionManager: { addressDialTimeout: 4_000 },
    connectionMonitor: { enabled: false },
  })
  try {
    // a dial that ends means a handshake that did: well or not, the answer is settled before
    const knockAt = (address: Multiaddr, signal: AbortSignal): Promise<unknown> =>
      host.dial(address.decapsulateCode(CODE_P2P), { signal })
    const dialled = raceAddresses(options.at.addresses, knockAt, { ...RACE, signal: options.signal }).then(
      () => answered.reject(unreachable('the door spoke something else')),
      (error: unknown) => answered.reject(unreachable(error)),
    )
    return await Promise.race([answered.promise, dialled.then(() => answered.promise)])
  } finally {
    await host.stop()
  }
}

function unreachable(cause: unknown): RopewalkError {
  const reason = typeof cause === 'string' ? cause : toRopewalkError(cause).message
  return new RopewalkError('unreachable', `No admitter answers there: ${reason.slice(0, 200)}`, { cause })
}
