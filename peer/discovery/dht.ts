import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { bytes, decodeWith, encodeWith, field, struct } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { hash, type NetworkId, type NodeId, networkIdBytes, nodeIdOf, publicKeyOf } from '@ropewalk/shared/identity'
import { decodeBundle, MAX_BUNDLE_BYTES } from '@ropewalk/shared/membership'
import { MAX_RECORD_BYTES, peekRecord } from '@ropewalk/shared/records'
import { base32 } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Registry } from './registry.ts'

const NAMESPACE = 'ropewalk'
const KEY_PREFIX = Buffer.from(`/${NAMESPACE}/`)
const MAX_VALUE_BYTES = 4_096
const SHA2_256 = 0x12
const DATASTORE_PREFIX = '/ropewalk-dht'
const PROVIDERS = `${DATASTORE_PREFIX}/provider/`

const value = struct({ bundle: field(1, bytes(1, MAX_BUNDLE_BYTES)), record: field(2, bytes(1, MAX_RECORD_BYTES)) })

/** What the DHT's validator and selector ask: the registry, which checks and keeps what is good. */
export class RecordBook {
  readonly #registry: Registry

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** Checks a value and learns from it. @throws RopewalkError for what is forged, foreign, or older than what is known */
  readonly validate = (key: Uint8Array, stored: Uint8Array): void => {
    const { bundle, record } = decodeWith(value, stored, MAX_VALUE_BYTES)
    const { nodeId, seq } = peekRecord(record)
    if (nodeId !== ownerOf(key)) throw new RopewalkError('wrong-key', 'A record under another node’s key')
    this.#registry.acceptBundle(decodeBundle(bundle), { proven: nodeId })
    // a PUT is never shown to the selector (kad-dht 16.4): what is older than the known one must fail here
    const known = this.#registry.get(nodeId)?.record?.body.seq ?? 0
    if (seq < known) throw new RopewalkError('stale-statement', 'A record that is older than the known one')
    this.#registry.acceptRecord(record)
  }

  /** The newest of several values. */
  readonly select = (_key: Uint8Array, values: Uint8Array[]): number => {
    const seqs = values.map((stored) => peekRecord(decodeWith(value, stored, MAX_VALUE_BYTES).record).seq)
    return seqs.indexOf(Math.max(...seqs))
  }

  /** The own value as it is stored, or `undefined` before the first record. */
  own(): Uint8Array | undefined {
    const entry = this.#registry.get(this.#registry.self)
    if (entry?.record === undefined) return undefined
    const encoded = encodeWith(value, { bundle: entry.bundle, record: entry.record.bytes })
    return encoded.length > MAX_VALUE_BYTES ? undefined : encoded
  }
}

type Datastore = Parameters<ReturnType<typeof kadDHT>>[0]['datastore']

/** The DHT of one network. A client at first: tables of others must not fill with nodes that nobody can dial. */
export function createDht(book: RecordBook, network: NetworkId): ReturnType<typeof kadDHT> {
  const make = kadDHT({
    protocol: '/ropewalk/kad/1.0.0',
    clientMode: true,
    peerInfoMapper: passthroughMapper, // private addresses are the usual ones here
    // libp2p adds a namespace of its own, in which anybody may store keys: it is closed
    validators: { [NAMESPACE]: book.validate, pk: refuseForeign },
    selectors: { [NAMESPACE]: book.select, pk: refuseForeign },
    // the defaults (20, 10 and 10) make every node of a small mesh dial every other one within seconds of its join
    kBucketSize: 8,
    alpha: 2,
    disjointPaths: 1,
    initialQuerySelfInterval: 500,
    querySelfInterval: 5 * 60_000,
    maxInboundStreams: 256,
    maxOutboundStreams: 256,
    networkDialTimeout: { minTimeout: 1_000, maxTimeout: 5_000 }, // one frozen peer must not stall a path for longer
    logPrefix: 'ropewalk:dht',
    datastorePrefix: DATASTORE_PREFIX,
  })
  return (components) => {
    const datastore = onlyOurs(components.datastore, network)
    return make(
      new Proxy(components, { get: (all, name) => (name === 'datastore' ? datastore : Reflect.get(all, name)) }),
    )
  }
}

/** The datastore without room for what a member may announce beyond need: it provides our rendezvous or nothing. */
function onlyOurs(datastore: Datastore, network: NetworkId): Datastore {
  const rendezvous = base32.encode(rendezvousOf(network).multihash.bytes).slice(1)
  const put: Datastore['put'] = (key, value, options) => {
    const text = key.toString()
    const ours = !text.startsWith(PROVIDERS) || text.startsWith(`${PROVIDERS}${rendezvous}/`)
    if (!ours) throw new RopewalkError('bad-input', 'Nobody provides that here')
    return datastore.put(key, value, options)
  }
  return new Proxy(datastore, {
    get(held, name) {
      if (name === 'put') return put
      const value: unknown = Reflect.get(held, name)
      return typeof value === 'function' ? value.bind(held) : value
    },
  })
}

function refuseForeign(): never {
  throw new RopewalkError('bad-input', 'Not a namespace of our DHT')
}

/** The DHT key of a node. */
export function keyOf(nodeId: NodeId): Uint8Array {
  return Buffer.concat([KEY_PREFIX, publicKeyOf(nodeId)])
}

/** The CID under which members of a network say that they are here. */
export function rendezvousOf(network: NetworkId): CID {
  return CID.createV1(raw.code, createDigest(SHA2_256, hash('ropewalk/rendezvous/1', networkIdBytes(network))))
}

/** Stores the own value. Returns how many nodes took it. */
export async function putOwn(dht: KadDHT, book: RecordBook, self: NodeId, signal: AbortSignal): Promise<number> {
  const own = book.own()
  if (own === undefined) return 0
  let stored = 0
  for await (const event of dht.put(keyOf(self), own, { signal })) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') stored++
  }
  return stored
}

/** Looks a node up; what is found is in the registry afterwards. Stops at the first good answer. */
export async function lookUp(dht: KadDHT, book: RecordBook, nodeId: NodeId, signal: AbortSignal): Promise<boolean> {
  try {
    for await (const event of dht.get(keyOf(nodeId), { signal })) {
      if (event.name !== 'VALUE') continue
      book.validate(keyOf(nodeId), event.value)
      return true // leaving the loop ends the query; waiting for the slowest path gains nothing
    }
  } catch {
    // nobody has it, or the query timed out: both mean “not found”
  }
  return false
}

function ownerOf(key: Uint8Array): NodeId {
  if (key.length !== KEY_PREFIX.length + 32) throw new RopewalkError('bad-input', 'Not a key of our DHT')
  return nodeIdOf(key.subarray(KEY_PREFIX.length))
}
