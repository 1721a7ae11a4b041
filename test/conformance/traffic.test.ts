import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { iperf, type WorldPlan } from '../lab/index.ts'
import { comesUp, find, flood, INNER, makeStockPair, reach, type StockPair } from './pair.ts'

/** A wire like loopback: outer packets need no fragments, however large the inner ones are. */
const WIDE: WorldPlan = {
  name: 'two-hosts-wide',
  about: 'two hosts, a and b, on one switch whose cables take packets of 65,535 bytes',
  nodes: {
    switch: { kind: 'switch' },
    a: { kind: 'host', on: 'switch', cable: { mtu: 65_535 } },
    b: { kind: 'host', on: 'switch', cable: { mtu: 65_535 } },
  },
}
const USUAL_MTU = 1420
const LARGE_MTU = 34_736
/** What an inner packet has besides a UDP payload, at most: IPv6 and UDP headers. */
const HEADERS = 48
/** Anything below says that the tunnel is broken, not that the machine is slow. */
const LEAST_GBIT = 0.02
const SECONDS = 1

describe.each(['v4', 'v6'] as const)('outside %s', (outer) => {
  describe.each([USUAL_MTU, LARGE_MTU])('with an inner MTU of %i', (mtu) => {
    let pair: StockPair
    beforeAll(async () => {
      pair = await makeStockPair({ world: WIDE, outer })
      // While it runs, as people do it.
      await Promise.all([pair.a, pair.b].map((end) => end.link('mtu', mtu.toString())))
      await comesUp(pair.a.node, INNER.b.v4)
    })
    afterAll(() => pair?.[Symbol.asyncDispose]())

    test('floods of pings', () => everyPing(pair))

    test.each([
      ['tcp', 'v4', 'a', 'b', 1],
      ['tcp', 'v6', 'b', 'a', 1],
      ['udp', 'v4', 'b', 'a', 1],
      ['udp', 'v6', 'a', 'b', 1],
      ['tcp', 'v4', 'a', 'b', 4],
      ['tcp', 'v4', 'a', 'b', 50],
    ] as const)('%s over inner %s from %s to %s, %i at once', (kind, family, from, to, parallel) =>
      carries(pair, { kind, family, from, to, parallel, mtu }),
    )
  })
})

test('what is on the way stays whole when the way goes from IPv4 to IPv6', async () => {
  await using pair = await makeStockPair({ world: WIDE })
  const running = iperf({ from: pair.a.node, to: pair.b.node, address: INNER.b.v4, seconds: 2 })
  await comesUp(pair.a.node, INNER.b.v4)
  await find(pair, 'v6')
  expect((await running).gbitPerSecond).toBeGreaterThan(LEAST_GBIT)
  // What was on its way by IPv4 may have led either end back to it; at rest nothing does.
  await find(pair, 'v6')
  await reach(pair.a.node, INNER.b.v4)
  expect((await pair.b.of(pair.a, 'endpoints'))[0]).toContain('[fd20::')
})

/** Both families, both ways, small and as large as goes. */
async function everyPing({ a, b }: StockPair): Promise<void> {
  for (const family of ['v4', 'v6'] as const) {
    await flood(a.node, INNER.b[family], 10)
    await flood(b.node, INNER.a[family], 10)
    await flood(a.node, INNER.b[family], 3, '-s', '30000')
  }
}

interface Flow {
  readonly kind: 'tcp' | 'udp'
  readonly family: 'v4' | 'v6'
  readonly from: 'a' | 'b'
  readonly to: 'a' | 'b'
  readonly parallel: number
  readonly mtu: number
}

async function carries(pair: StockPair, { kind, family, from, to, parallel, mtu }: Flow): Promise<void> {
  const { gbitPerSecond } = await iperf({
    from: pair[from].node,
    to: pair[to].node,
    address: INNER[to][family],
    seconds: SECONDS,
    parallel,
    ...(kind === 'udp' ? { udpBytes: mtu - HEADERS } : {}),
  })
  expect(gbitPerSecond).toBeGreaterThan(LEAST_GBIT)
}
