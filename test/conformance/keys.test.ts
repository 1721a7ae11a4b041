import { describe, expect, test } from 'vitest'
import { bindDatagrams, up } from '../lab/index.ts'
import { makeKeyPair } from '../wireguard/index.ts'
import { type StockDevice, startStock } from './device.ts'
import { at, comesUp, INNER, makeStockPair, reach } from './pair.ts'

test('a private key changes while it runs, and the next packet makes a handshake with the new one', async () => {
  await using pair = await makeStockPair()
  const { a, b, presharedKey } = pair
  await reach(a.node, INNER.b.v4)
  const renewed = makeKeyPair()
  await a.set('private-key', renewed.privateKey)
  const allowed = `${INNER.a.v4}/32,${INNER.a.v6}/128`
  await b.set('peer', renewed.publicKey, 'preshared-key', presharedKey, 'allowed-ips', allowed)
  await b.set('peer', a.keys.publicKey, 'remove')
  expect(await a.show('public-key')).toEqual([[renewed.publicKey.toString('base64')]])
  await reach(a.node, INNER.b.v4)
  await reach(b.node, INNER.a.v6)
  expect(await b.show('peers')).toEqual([[renewed.publicKey.toString('base64')]])
})

test('who has no private key starts nothing, and starts when it is given one', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await a.node.exec('sh', ['-ec', `wg set ${a.name} private-key /dev/null`])
  expect(await a.show('private-key')).toEqual([['(none)']])
  const before = await a.transfer(b)
  await a.node.exec('ping', ['-c', '3', '-i', '0.1', '-W', '0.3', INNER.b.v4], { mayFail: true })
  expect(await a.transfer(b)).toEqual(before)
  await a.set('private-key', a.keys.privateKey)
  await comesUp(a.node, INNER.b.v4, 15_000)
})

describe('keys of a device', () => {
  async function alone(work: (device: StockDevice) => Promise<void>): Promise<void> {
    await using world = await up('two-hosts')
    await work(await startStock(world.node('a'), { keys: 'none' }))
  }
  const one = makeKeyPair()
  const two = makeKeyPair()
  const base64 = (key: Buffer) => [[key.toString('base64')]]

  test('come back as they were set, and go when nothing is set', () =>
    alone(async (device) => {
      const psk = Buffer.alloc(32, 7)
      await device.set('private-key', one.privateKey, 'peer', two.publicKey, 'preshared-key', psk)
      // A private key is clamped where it comes in (RFC 7748, section 5); its public key is the same.
      expect(await device.show('private-key')).toEqual(base64(clamped(one.privateKey)))
      expect(await device.show('public-key')).toEqual(base64(one.publicKey))
      expect(await device.of(two.publicKey, 'preshared-keys')).toEqual([psk.toString('base64')])
      const nothing = ['private-key /dev/null', `peer ${two.publicKey.toString('base64')} preshared-key /dev/null`]
      await device.node.exec('sh', ['-ec', `wg set ${device.name} ${nothing.join(' ')}`])
      expect(await device.show('private-key')).toEqual([['(none)']])
      expect(await device.of(two.publicKey, 'preshared-keys')).toEqual(['(none)'])
    }))

  test('are clamped', () =>
    alone(async (device) => {
      const loose = Buffer.from(one.privateKey)
      loose[0] = 0xff
      loose[31] = 0xff
      await device.set('private-key', loose)
      expect(await device.show('private-key')).toEqual(base64(clamped(loose)))
      expect(clamped(loose)).not.toEqual(loose)
    }))

  test('make no peer of the device itself: one is removed by the key, and none can be added', () =>
    alone(async (device) => {
      await device.set('private-key', one.privateKey, 'peer', two.publicKey)
      expect(await device.show('peers')).toEqual(base64(two.publicKey))
      await device.set('private-key', two.privateKey)
      expect(await device.show('public-key')).toEqual(base64(two.publicKey))
      expect(await device.show('peers')).toEqual([])
      await device.set('peer', two.publicKey, 'allowed-ips', '10.1.0.0/16')
      expect(await device.show('peers')).toEqual([])
      await device.set('private-key', one.privateKey)
      await device.set('peer', two.publicKey)
      expect(await device.show('peers')).toEqual(base64(two.publicKey))
    }))
})

test('for a peer whose public key is a point of low order nothing is sent', async () => {
  await using world = await up('two-hosts')
  const node = world.node('a')
  const device = await startStock(node, { down: true })
  const watched = await bindDatagrams(world.node('b'), 1111)
  const honest = makeKeyPair().publicKey
  for (const point of LOW_ORDER) {
    const to = ['endpoint', at(world.node('b').address, 1111), 'persistent-keepalive', 1]
    await device.set('peer', Buffer.from(point, 'hex'), ...to)
  }
  const seen = (await device.show('peers')).length
  // The last and honest one shows when a handshake would have come.
  await device.set('peer', honest, 'endpoint', at(world.node('b').address, 1111), 'persistent-keepalive', 1)
  await device.link('up')
  await watched.arrives(1)
  // A second handshake comes after five seconds and more; by then all others had their turn twice.
  await watched.arrives(2, 10_000)
  expect(watched.received()).toHaveLength(2)
  for (const point of LOW_ORDER.slice(0, seen)) {
    expect(await device.transfer(Buffer.from(point, 'hex'))).toEqual({ received: 0, sent: 0 })
  }
  expect((await device.transfer(honest)).sent).toBe(2 * 148)
})

function clamped(key: Buffer): Buffer {
  const copy = Buffer.from(key)
  copy[0] = (copy[0] ?? 0) & 248
  copy[31] = ((copy[31] ?? 0) & 127) | 64
  return copy
}

/** All of small order on the curve, and the two that are not reduced (cr.yp.to/ecdh.html, "validate"). */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]
