import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { iperf, until } from '../lab/index.ts'
import { type StockDevice, startStock } from './device.ts'
import { at, comesUp, endpoint, flood, INNER, makeStockPair, PORT, reach, type StockPair, unanswered } from './pair.ts'

/** Of the devices inside the others. */
const DEEP = { a: { v4: '10.97.0.1', v6: 'fd97::1' }, b: { v4: '10.97.0.2', v6: 'fd97::2' } } as const
const DEEP_PORT = 5
const DEEP_MTU = 1340
const LEAST_GBIT = 0.01

async function startInside(pair: StockPair, end: 'a' | 'b'): Promise<StockDevice> {
  const addresses = [`${DEEP[end].v4}/24`, `${DEEP[end].v6}/112`]
  return startStock(pair[end].node, { name: 'wg1', listenPort: DEEP_PORT, mtu: DEEP_MTU, addresses })
}

async function nest(pair: StockPair): Promise<{ a: StockDevice; b: StockDevice }> {
  const [a, b] = await Promise.all([startInside(pair, 'a'), startInside(pair, 'b')])
  for (const [end, other, name] of [
    [a, b, 'b'],
    [b, a, 'a'],
  ] as const) {
    const allowed = `${DEEP[name].v4}/32,${DEEP[name].v6}/128`
    await end.set('peer', other.keys.publicKey, 'allowed-ips', allowed, 'endpoint', at(INNER[name].v6, DEEP_PORT))
  }
  return { a, b }
}

describe('WireGuard inside of WireGuard', () => {
  let pair: StockPair
  beforeAll(async () => {
    pair = await makeStockPair()
    await nest(pair)
  })
  afterAll(() => pair?.[Symbol.asyncDispose]())

  test('answers pings of both families, both ways', async () => {
    for (const family of ['v4', 'v6'] as const) {
      await flood(pair.b.node, DEEP.a[family], 10)
      await flood(pair.a.node, DEEP.b[family], 10)
    }
  })

  test.each([
    ['tcp', 'v4', 1],
    ['tcp', 'v6', 1],
    ['udp', 'v4', 1],
    ['udp', 'v6', 1],
    ['tcp', 'v4', 4],
    ['tcp', 'v4', 50],
  ] as const)('carries %s over inner %s, %i at once', async (kind, family, parallel) => {
    const udp = kind === 'udp' ? { udpBytes: DEEP_MTU - 48 } : {}
    const [from, to] = [pair.a.node, pair.b.node]
    const report = await iperf({ from, to, address: DEEP.b[family], seconds: 1, parallel, ...udp })
    expect(report.gbitPerSecond).toBeGreaterThan(LEAST_GBIT)
  })
})

test('two devices that lead into each other end a packet in a few rounds, and are well when the circle is opened', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  const inside = await nest(pair)
  await reach(a.node, DEEP.b.v4)
  // From here on what wg0 sends goes into wg1, and what wg1 sends into wg0: both have sessions, and nothing gets out.
  const [before, begun] = [await b.transfer(a), await inside.a.transfer(inside.b)]
  await a.set('peer', b.keys.publicKey, 'endpoint', at(DEEP.b.v4, 7))
  await a.node.exec('ping', ['-f', '-W', '1', '-c', '10', DEEP.b.v4], { mayFail: true })
  await quiet(inside.a, inside.b)
  expect((await inside.a.transfer(inside.b)).sent - begun.sent).toBeLessThan(70_000)
  expect((await b.transfer(a)).received).toBe(before.received)
  await a.set('peer', b.keys.publicKey, 'endpoint', endpoint(b.node, 'v4', PORT.b))
  await comesUp(a.node, DEEP.b.v4)
})

test('a peer is reached through another peer of the same device', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  const hidden = await startStock(b.node, { name: 'wg1', listenPort: DEEP_PORT, addresses: ['10.96.0.2/24'] })
  await hidden.set('peer', a.keys.publicKey, 'allowed-ips', '10.96.0.1/32')
  await a.set('peer', hidden.keys.publicKey, 'allowed-ips', '10.96.0.2/32', 'endpoint', at(INNER.b.v4, DEEP_PORT))
  await a.address('add', '10.96.0.1/24')
  await reach(a.node, '10.96.0.2')
  // And by itself, which leads nowhere and must harm nobody else.
  await hidden.process.stop()
  await a.set('peer', hidden.keys.publicKey, 'endpoint', at('10.96.0.2', DEEP_PORT))
  const before = await a.transfer(hidden)
  await unanswered(a.node, '10.96.0.2')
  await reach(a.node, INNER.b.v4)
  await quiet(a, hidden)
  expect((await a.transfer(hidden)).sent - before.sent).toBeLessThan(100_000)
})

/** Waits until a device has sent a peer nothing for half a second. */
async function quiet(device: StockDevice, peer: StockDevice): Promise<void> {
  let [last, since] = [Number.NaN, performance.now()]
  await until(10_000, `${device.name} to be quiet`, async () => {
    const { sent } = await device.transfer(peer)
    if (sent !== last) [last, since] = [sent, performance.now()]
    return performance.now() - since > 500 ? true : null
  })
}
