import { describe, expect, test } from 'vitest'
import { ping, until } from '../lab/index.ts'
import { at, INNER, makeStockPair, PORT, reach, type StockPair } from './pair.ts'

// Which local address the outer packets leave from: that which the peer knows, as long as it is there.

test('when an address goes another one is taken, IPv4 and IPv6', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await a.node.exec('sh', ['-ec', 'echo 1 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries'])
  await reach(a.node, INNER.b.v4)
  expect(await b.of(a, 'endpoints')).toEqual([at('10.20.0.1', PORT.a)])
  await change(pair, 'address add 10.20.0.10/24 dev eth0', 'address delete 10.20.0.1/24 dev eth0')
  await reach(a.node, INNER.b.v4)
  expect(await b.of(a, 'endpoints')).toEqual([at('10.20.0.10', PORT.a)])

  await a.set('peer', b.keys.publicKey, 'endpoint', at('fd20::2', PORT.b))
  await reach(a.node, INNER.b.v4)
  expect(await b.of(a, 'endpoints')).toEqual([at('fd20::1', PORT.a)])
  await change(pair, 'address add fd20::10/64 dev eth0 nodad', 'address delete fd20::1/64 dev eth0')
  await reach(a.node, INNER.b.v4)
  expect(await b.of(a, 'endpoints')).toEqual([at('fd20::10', PORT.a)])
})

test('the answer leaves from the address that was asked, whichever it is', async () => {
  await using pair = await makeStockPair({ outer: 'none' })
  const { a, b } = pair
  await change(pair, 'address add 10.20.0.11/24 dev eth0', 'address add fd20::11/64 dev eth0 nodad')
  // It belongs to another interface than the way back.
  await change(pair, 'link add other type bridge', 'address add 10.50.0.1/24 dev other', 'link set other up')
  await b.node.exec('ip', ['route', 'add', '10.50.0.0/24', 'via', '10.20.0.1'])
  for (const address of ['10.20.0.1', 'fd20::1', '10.20.0.11', 'fd20::11', '10.50.0.1', '10.20.0.1']) {
    await b.set('peer', a.keys.publicKey, 'endpoint', at(address, PORT.a))
    await reach(b.node, INNER.a.v4)
    // Had the answer come from elsewhere, this is what b would know now.
    expect(await b.of(a, 'endpoints')).toEqual([at(address, PORT.a)])
  }
})

describe('when a better route comes', () => {
  test('packets leave by it, and from its address', async () => {
    await using pair = await makeStockPair({ world: 'two-ways', outer: 'none' })
    const { a, b } = pair
    const loose = ['a', 'b'].map((name) => pair.world.node(name).exec('sh', ['-ec', LOOSE]))
    await Promise.all(loose)
    // b is asked at its first address; both of a's cables lead there when a says so.
    await b.node.exec('ip', ['address', 'add', '10.60.0.2/32', 'dev', 'lo'])
    await change(pair, 'route add 10.60.0.2/32 via 10.20.1.2 dev eth0 src 10.20.1.1 metric 20')
    await a.set('peer', b.keys.publicKey, 'endpoint', at('10.60.0.2', PORT.b))
    await reach(a.node, INNER.b.v4)
    expect(await b.of(a, 'endpoints')).toEqual([at('10.20.1.1', PORT.a)])
    // Answers to the old address are on their way all the time, and must not lead back to it.
    const running = ping(a.node, INNER.b.v4, { intervalMs: 2 })
    await running.replied(50)
    await change(pair, 'route add 10.60.0.2/32 via 10.20.2.2 dev eth1 src 10.20.2.1 metric 10')
    await until(2_000, 'the other address', async () => {
      const [known] = await b.of(a, 'endpoints')
      return known === at('10.20.2.1', PORT.a) ? true : null
    })
    await running.replied(50)
    const { lost } = await running.stop()
    expect(lost).toBeLessThan(5)
    expect(await b.of(a, 'endpoints')).toEqual([at('10.20.2.1', PORT.a)])
  })
})

const LOOSE = 'for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$file; done'

async function change({ a }: StockPair, ...lines: readonly string[]): Promise<void> {
  for (const line of lines) await a.node.exec('ip', line.split(' '))
}
