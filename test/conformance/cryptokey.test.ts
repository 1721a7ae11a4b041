import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { bindDatagrams, up } from '../lab/index.ts'
import { makeKeyPair } from '../wireguard/index.ts'
import { startStock } from './device.ts'
import { comesUp, endpoint, INNER, makeStockPair, reach, unanswered } from './pair.ts'

test('what comes from an address that a more specific prefix gives to another peer is dropped', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await a.set('peer', b.keys.publicKey, 'allowed-ips', '10.98.0.0/24')
  const listener = await bindDatagrams(a.node, 1234)
  const sender = await bindDatagrams(b.node)
  sender.send(INNER.a.v4, 1234, 'allowed')
  expect(await listener.receives('allowed')).toMatchObject({ from: INNER.b.v4 })

  const moreSpecific = makeKeyPair().publicKey
  await a.set('peer', moreSpecific, 'allowed-ips', `${INNER.b.v4}/32`)
  await b.set('listen-port', 9997)
  sender.send(INNER.a.v4, 1234, 'forbidden')
  // The same session and socket: whatever was sent before it has been dealt with when this one arrives.
  await b.address('add', '10.98.0.3/24')
  await b.node.exec('ping', ['-c', '1', '-W', '1', '-I', '10.98.0.3', INNER.a.v4])
  expect(listener.received().map(({ text }) => text)).toEqual(['allowed'])
  // Authentic it was, so its sender is known by his new port.
  expect(await a.of(b, 'endpoints')).toEqual([`${b.node.address}:9997`])

  await a.set('peer', moreSpecific, 'remove')
  await reach(b.node, INNER.a.v4)
})

test('an allowed IP that another peer is given moves there, both ways', async () => {
  await using world = await up('three-hosts')
  const ends = await Promise.all(
    (['a', 'b', 'c'] as const).map((name, index) =>
      startStock(world.node(name), { listenPort: 1111, addresses: [`10.98.0.${index === 0 ? 1 : 2}/24`] }),
    ),
  )
  const [a, b, c] = ends
  if (a === undefined || b === undefined || c === undefined) throw new Error('unreachable')
  for (const other of [b, c]) {
    await a.set('peer', other.keys.publicKey, 'endpoint', endpoint(other.node, 'v4', 1111))
    await other.set('peer', a.keys.publicKey, 'allowed-ips', '10.98.0.1/32', 'endpoint', endpoint(a.node, 'v4', 1111))
  }
  for (const [owner, other] of [
    [b, c],
    [c, b],
    [b, c],
  ] as const) {
    await a.set('peer', owner.keys.publicKey, 'allowed-ips', '10.98.0.2/32')
    expect(await a.of(owner, 'allowed-ips')).toEqual(['10.98.0.2/32'])
    expect(await a.of(other, 'allowed-ips')).toEqual(['(none)'])
    const before = await a.transfer(other)
    await reach(owner.node, INNER.a.v4)
    await reach(a.node, '10.98.0.2')
    await unanswered(other.node, INNER.a.v4, '-W', '0.3')
    expect((await a.transfer(owner)).sent).toBeGreaterThan(0)
    // The other's packets may be heard; none of the answers is for him, whatever a handshake takes.
    expect((await a.transfer(other)).sent - before.sent).toBeLessThan(148 + 92 + 32 + 1)
  }
})

test('the longest of overlapping prefixes wins, whatever the order in which they came', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  const others = [makeKeyPair().publicKey, makeKeyPair().publicKey]
  const [first, second] = others
  if (first === undefined || second === undefined) throw new Error('unreachable')
  await a.set('peer', b.keys.publicKey, 'allowed-ips', '10.98.0.2/32,10.99.7.0/24,fd99:7::/64')
  await a.set('peer', first, 'allowed-ips', '0.0.0.0/0,10.99.7.128/25,fd99::/16')
  await a.set('peer', second, 'allowed-ips', '10.98.0.0/16,10.99.0.0/16,::/0,fd99:7::8000:0:0:0/65')
  await b.address('add', '10.99.7.1/32', '10.99.7.200/32', 'fd99:7::1/128', 'fd99:7::8000:0:0:1/128')
  for (const net of ['10.99.0.0/16', 'fd99::/16']) await a.node.exec('ip', ['route', 'add', net, 'dev', a.name])
  await reach(a.node, INNER.b.v4)
  await reach(a.node, '10.99.7.1')
  await reach(a.node, 'fd99:7::1')
  const { sent } = await a.transfer(b)
  for (const elsewhere of ['10.99.7.200', 'fd99:7::8000:0:0:1']) await unanswered(a.node, elsewhere, '-W', '0.3')
  expect((await a.transfer(b)).sent).toBe(sent)
})

test('overlapping ranges are all taken, and gone again when others replace them', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'), { down: true })
  const peer = makeKeyPair().publicKey
  const sets = [
    ['0.0.0.0/0', '10.0.0.0/8', '100.0.0.0/10', '172.16.0.0/12', '192.168.0.0/16'],
    ['0.0.0.0/0'],
    ['::/0', '1700::/111', '5000::/4', 'e000::/37', '9000::/75'],
    ['::/0'],
  ]
  for (const set of sets) {
    await device.set('peer', peer, 'allowed-ips', set.join(','))
    expect((await device.of(peer, 'allowed-ips')).toSorted()).toEqual(set.toSorted())
  }
  // Bits beyond the prefix do not count.
  await device.set('peer', peer, 'allowed-ips', '10.1.2.3/8,fd00::1/8')
  expect((await device.of(peer, 'allowed-ips')).toSorted()).toEqual(['10.0.0.0/8', 'fd00::/8'])
  await device.set('peer', peer, 'remove')
  expect(await device.show('peers')).toEqual([])
})

test('without the same preshared key nobody is heard, and with it again everybody is', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await a.set('peer', b.keys.publicKey, 'preshared-key', randomBytes(32))
  await unanswered(a.node, INNER.b.v4)
  expect(await a.of(b, 'latest-handshakes')).toEqual(['0'])
  await a.set('peer', b.keys.publicKey, 'preshared-key', pair.presharedKey)
  await comesUp(a.node, INNER.b.v4, 15_000)
})
