import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bindDatagrams, ping, until, up } from '../lab/index.ts'
import { makeKeyPair } from '../wireguard/index.ts'
import { startStock } from './device.ts'
import { at, comesUp, endpoint, INNER, makeStockPair, PORT, reach } from './pair.ts'

const INITIATION = 148
const HOLD =
  'add table netdev hold; add chain netdev hold in { type filter hook ingress device eth0 priority 0; }; add rule netdev hold in ether type arp drop'
const COOKIE_REPLY = 3
const FLOOD_RATE = 40_000

test('when both begin at once, what each sent first gets through', async () => {
  await using pair = await makeStockPair({ outer: 'none' })
  const { a, b } = pair
  for (const [end, other, name] of [
    [a, b, 'b'],
    [b, a, 'a'],
  ] as const) {
    await end.set('peer', other.keys.publicKey, 'endpoint', endpoint(other.node, 'v4', PORT[name]))
  }
  // Neither can leave before the other's hardware address is known, which both learn in the same moment.
  await Promise.all([a, b].map(({ node }) => node.exec('nft', [HOLD])))
  const pings = [
    a.node.exec('ping', ['-n', '-c', '1', '-W', '3', INNER.b.v4]),
    b.node.exec('ping', ['-n', '-c', '1', '-W', '3', INNER.a.v4]),
  ]
  for (const [end, other] of [[a, b] as const, [b, a] as const]) {
    await until(2_000, 'an initiation', async () => ((await end.transfer(other)).sent === INITIATION ? true : null))
  }
  await Promise.all([a, b].map(({ node }) => node.exec('nft', ['delete table netdev hold'])))
  for (const { stdout } of await Promise.all(pings)) expect(stdout).toContain(' 0% packet loss')
})

test('under a flood of handshakes strangers are asked for a cookie, and who is no stranger gets in and stays', async () => {
  await using world = await up('three-hosts')
  const [node, friend, stranger] = [world.node('a'), world.node('b'), world.node('c')]
  const target = await startStock(node, { listenPort: PORT.a, addresses: [`${INNER.a.v4}/24`] })
  const member = await startStock(friend, { listenPort: PORT.b, addresses: [`${INNER.b.v4}/24`] })
  const forger = await startStock(stranger, { addresses: ['10.98.0.3/24'] })
  await target.set('peer', member.keys.publicKey, 'allowed-ips', `${INNER.b.v4}/32`)
  await member.set('peer', target.keys.publicKey, 'allowed-ips', `${INNER.a.v4}/32`)
  await member.set('peer', target.keys.publicKey, 'endpoint', endpoint(node, 'v4', PORT.a))

  // One initiation for the target, as its first MAC wants it, from somebody whom the target does not know.
  const trap = await bindDatagrams(stranger, 4444)
  await forger.set('peer', target.keys.publicKey, 'endpoint', '127.0.0.1:4444', 'persistent-keepalive', 1)
  await trap.arrives(1)
  const [initiation] = trap.received()
  const sources = Array.from({ length: 50 }, (_, nth) => `10.20.0.${100 + nth}`)
  await stranger.exec('sh', ['-ec', sources.map((each) => `ip address add ${each}/24 dev eth0`).join('\n')])
  const program = join(import.meta.dirname, 'programs', 'repeat.ts')
  const words = [node.address, PORT.a.toString(), initiation?.hex ?? '', FLOOD_RATE.toString(), ...sources]
  const flood = stranger.spawn(process.execPath, [program, ...words])
  await flood.says(/ready/)
  await comesUp(friend, INNER.a.v4, 15_000)
  const running = ping(friend, INNER.a.v4, { intervalMs: 10, count: 200 })
  const { received } = await running.done
  await flood.stop()
  const { sent, heard } = JSON.parse((await flood.says(/{"sent".*}/))[0]) as Heard
  expect(sent).toBeGreaterThan(10_000)
  // Nobody knows the forger: all that he can be told is how to prove his address, never a response.
  expect(Object.keys(heard)).toEqual([COOKIE_REPLY.toString()])
  expect(heard[COOKIE_REPLY]).toBeGreaterThan(100)
  // On two cores the flood takes its share of them.
  expect(received).toBeGreaterThan(150)
  await reach(friend, INNER.a.v4)
}, 40_000)

test('an initiation that was recorded is not answered again', async () => {
  await using world = await up('two-hosts')
  const [node, other] = [world.node('a'), world.node('b')]
  const device = await startStock(node, { listenPort: PORT.a })
  const keys = makeKeyPair()
  const peer = await startStock(other, { keys, listenPort: PORT.b })
  await device.set('peer', keys.publicKey)
  const trap = await bindDatagrams(other, 4444)
  await peer.set('peer', device.keys.publicKey, 'endpoint', '127.0.0.1:4444', 'persistent-keepalive', 1)
  await trap.arrives(1)
  const initiation = trap.received()[0]?.hex ?? ''
  trap.sendBytes(node.address, PORT.a, initiation)
  await trap.arrives(2)
  expect(trap.received()[1]?.hex).toMatch(/^02000000/)
  expect((await device.transfer(keys.publicKey)).sent).toBe(92)
  for (let copy = 0; copy < 5; copy += 1) trap.sendBytes(node.address, PORT.a, initiation)
  // A handshake of another, over the same socket and queue, is dealt with after all of the copies.
  const witness = await startStock(other, { name: 'wg1', addresses: [`${INNER.b.v4}/24`] })
  await device.address('add', `${INNER.a.v4}/24`)
  await device.set('peer', witness.keys.publicKey, 'allowed-ips', `${INNER.b.v4}/32`)
  await witness.set('peer', device.keys.publicKey, 'allowed-ips', `${INNER.a.v4}/32`)
  await witness.set('peer', device.keys.publicKey, 'endpoint', at(node.address, PORT.a))
  await comesUp(other, INNER.a.v4)
  expect((await device.transfer(keys.publicKey)).sent).toBe(92)
})

interface Heard {
  readonly sent: number
  readonly heard: Readonly<Record<string, number>>
}
