import { publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { encodeWith, field, bytes as ofBytes, struct } from '@ropewalk/shared/codec'
import { encodeBundle } from '@ropewalk/shared/membership'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { keyOf, rendezvousOf } from './dht.ts'
import { toPeerId } from './libp2p-ids.ts'
import { RogueHost } from './rogue-host.ts'
import { addressOf, TestMesh, type TestNode } from './test-mesh.ts'
import { recordOf } from './test-records.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

const KAD = '/ropewalk/kad/1.0.0'
const PUT_VALUE = 0
const ADD_PROVIDER = 2
const GET_PROVIDERS = 3

let mesh: TestMesh
let relay: TestNode
let member: TestNode
let rogue: RogueHost

beforeEach(async () => {
  mesh = new TestMesh()
  relay = mesh.admitted('relay')
  await relay.discovery.start()
  member = mesh.admitted('member', { rights: [] })
  rogue = await RogueHost.create(mesh.network, member.key, member.memory.bundle)
})
afterEach(async () => {
  await rogue.stop()
  await mesh.stop()
})

/** A length-delimited protobuf field. */
function part(number: number, content: Uint8Array): Buffer {
  const length = content.length
  const varint = length < 128 ? [length] : [(length & 127) | 128, length >> 7]
  return Buffer.concat([Uint8Array.of((number << 3) | 2, ...varint), content])
}
const message = (type: number, key: Uint8Array, ...parts: Uint8Array[]): Uint8Array =>
  Buffer.concat([...(type === 0 ? [] : [Uint8Array.of(8, type)]), part(2, key), ...parts])
const putting = (key: Uint8Array, value: Uint8Array): Uint8Array =>
  message(PUT_VALUE, key, part(3, Buffer.concat([part(1, key), part(2, value)])))
const cidOf = (digest: Uint8Array): Uint8Array => CID.createV1(raw.code, createDigest(0x12, digest)).bytes

/** The relay's answer to a DHT message, or nothing where it refuses. */
async function ask(request: Uint8Array, answered = true): Promise<Uint8Array | undefined> {
  const stream = await rogue.stream(addressOf(relay), KAD)
  const framed = lpStream(stream)
  await framed.write(request)
  try {
    return answered ? (await framed.read({ signal: AbortSignal.timeout(3_000) })).subarray() : undefined
  } catch {
    return undefined
  } finally {
    await stream.close().catch(() => undefined)
  }
}

describe('the DHT', () => {
  test('stores what a member says of itself, and nothing else under any key', async () => {
    const value = struct({ bundle: field(1, ofBytes(1, 4_000)), record: field(2, ofBytes(1, 4_000)) })
    const bundle = encodeBundle(member.memory.bundle)
    const own = encodeWith(value, { bundle, record: recordOf(member) })
    const forged = encodeWith(value, { bundle, record: recordOf({ ...member, key: relay.key }) })
    const text = (content: string): Uint8Array => Buffer.from(content)
    const { publicKey } = toPeerId(member.key.nodeId)
    if (publicKey === undefined) throw new Error('no key')
    const refused: readonly (readonly [string, Uint8Array])[] = [
      [
        'public keys, which libp2p lets anybody store',
        putting(Buffer.concat([text('/pk/'), publicKey.toMultihash().bytes]), publicKeyToProtobuf(publicKey)),
      ],
      ['another namespace', putting(text('/ipns/abc'), own)],
      ['no namespace', putting(text('abc'), own)],
      ["another node's key", putting(keyOf(relay.key.nodeId), own)],
      ['a longer key', putting(Buffer.concat([keyOf(member.key.nodeId), Buffer.of(1)]), own)],
      ["another's signature", putting(keyOf(member.key.nodeId), forged)],
      ['more than 4 KiB', putting(keyOf(member.key.nodeId), Buffer.concat([own, Buffer.alloc(4_096)]))],
    ]
    for (const [what, request] of refused) expect(await ask(request), what).toBeUndefined()
    expect(await ask(putting(keyOf(member.key.nodeId), own))).toBeDefined()
  })

  test('takes providers of our meeting point only: a member cannot fill its memory with others', async () => {
    const id = toPeerId(member.key.nodeId).toMultihash().bytes
    const provider = Buffer.concat([part(1, id), part(2, multiaddr('/ip4/192.0.2.1/tcp/1').bytes)])
    const providersOf = async (cid: Uint8Array): Promise<boolean> =>
      Buffer.from((await ask(message(GET_PROVIDERS, cid))) ?? []).includes(part(9, part(1, id)).subarray(2))
    const rendezvous = rendezvousOf(mesh.network.id).bytes
    for (let n = 0; n < 100; n++)
      await ask(message(ADD_PROVIDER, cidOf(new Uint8Array(32).fill(n)), part(9, provider)), false)
    await ask(message(ADD_PROVIDER, rendezvous, part(9, provider)), false)
    await vi.waitFor(async () => expect(await providersOf(rendezvous)).toBe(true), { timeout: 5_000, interval: 100 })
    for (const n of [0, 50, 99]) expect(await providersOf(cidOf(new Uint8Array(32).fill(n)))).toBe(false)
  })
})
