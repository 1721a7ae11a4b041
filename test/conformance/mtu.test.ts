import { expect, test } from 'vitest'
import { flood, INNER, makeStockPair, reach, type StockPair } from './pair.ts'

/** What a data message adds to an inner packet: IPv4, UDP, WireGuard's header and tag. */
const OUTER = 20 + 8 + 16 + 16
/** An IPv4 header and ICMP's. */
const PING = 28

test('padding makes no message longer than the MTU allows, whatever it is not a multiple of', async () => {
  await using pair = await makeStockPair({ mtu: 1299 })
  await reach(pair.b.node, INNER.a.v4)
  // 1297 bytes would be 1312 with padding, and 1299 is the most.
  await drops(pair, `meta length > ${1299 + OUTER}`)
  for (const inner of [1280, 1284, 1297, 1298, 1299]) {
    await reach(pair.b.node, INNER.a.v4, '-s', (inner - PING).toString())
  }
  expect(await dropped(pair)).toBe(0)
})

test('an MTU changed while it runs holds from the next packet on, both ways', async () => {
  await using pair = await makeStockPair()
  await reach(pair.b.node, INNER.a.v4)
  await Promise.all([pair.a, pair.b].map((end) => end.link('mtu', '1333')))
  // Longer pings go in fragments, each of which keeps to the new MTU as well.
  await flood(pair.b.node, INNER.a.v4, 3, '-s', '4000')
  await drops(pair, `meta length > ${1333 + OUTER}`)
  await flood(pair.b.node, INNER.a.v4, 10, '-s', (1333 - PING).toString())
  await flood(pair.b.node, INNER.a.v4, 10, '-s', '4000')
  expect(await dropped(pair)).toBe(0)
})

test('all else is padded to sixteen bytes', async () => {
  await using pair = await makeStockPair()
  await reach(pair.b.node, INNER.a.v4)
  await drops(pair, `udp dport { 1111, 2222 } @th,64,32 0x04000000 meta length & 15 != ${OUTER & 15}`)
  for (const inner of [64, 65, 79, 80, 81, 1100]) {
    await reach(pair.b.node, INNER.a.v4, '-s', (inner - PING).toString())
  }
  expect(await dropped(pair)).toBe(0)
})

/** Both hosts lose such packets from now on, and count them. Batches are cut before: what counts is what a wire would see. */
async function drops({ a, b }: StockPair, match: string): Promise<void> {
  const hook = 'type filter hook input priority 0;'
  const rule = `add table inet wire; add chain inet wire in { ${hook} }; add rule inet wire in meta l4proto udp ${match} counter drop`
  for (const { node } of [a, b]) {
    await node.exec('ip', ['link', 'set', 'eth0', 'gso_max_segs', '1'])
    await node.exec('nft', [rule])
  }
}

async function dropped({ a, b }: StockPair): Promise<number> {
  let packets = 0
  for (const { node } of [a, b]) {
    const { stdout } = await node.exec('nft', ['list', 'chain', 'inet', 'wire', 'in'])
    packets += Number(/packets (\d+)/.exec(stdout)?.[1])
  }
  return packets
}
