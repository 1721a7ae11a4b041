import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { iperf, type LabNode, up } from '../lab/index.ts'
import { makeKeyPair, type OurEnd, startOurs } from '../wireguard/index.ts'
import { answers } from './pair.ts'

const PORT = 51820

/** CPU ticks of each packet thread of a device's process. */
async function ticks({ process }: OurEnd): Promise<number[]> {
  const pid = await process.pid()
  const threads = await readdir(`/proc/${pid}/task`)
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8')))
  const shards = stats.filter((stat) => stat.includes('(wireguard-shard)'))
  return shards.map((stat) => {
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
}

test('a device with two threads serves its peers by both, loses nothing and keeps what its filter knows together', async () => {
  await using world = await up('three-hosts')
  const start = (name: string, address: string, threads: number) => {
    const node: LabNode = world.node(name)
    const addresses = [`${address}/24`]
    return startOurs({ node, keys: makeKeyPair(), addresses, listenPort: PORT, vanilla: false, threads })
  }
  const [hub, b, c] = await Promise.all([
    start('a', '10.96.0.1', 2),
    start('b', '10.96.0.2', 1),
    start('c', '10.96.0.3', 1),
  ])
  const introduce = (end: OurEnd, other: OurEnd) =>
    end.setPeer({
      publicKey: other.publicKey,
      allowedIps: [`${other.address}/32`],
      endpoint: { address: other.node.address, port: PORT },
    })
  for (const end of [b, c]) {
    await Promise.all([introduce(end, hub), introduce(hub, end)])
    await answers(hub, end)
  }
  const before = await ticks(hub)
  expect(before).toHaveLength(2)
  const flow = (from: OurEnd, to: OurEnd, port: number) =>
    iperf({ from: from.node, to: to.node, address: to.address, seconds: 2, parallel: 4, port })
  for (const [first, second] of [
    [flow(b, hub, 5201), flow(c, hub, 5202)],
    [flow(hub, b, 5203), flow(hub, c, 5204)],
  ] as const) {
    for (const { gbitPerSecond } of await Promise.all([first, second])) expect(gbitPerSecond).toBeGreaterThan(0.02)
  }
  const after = await ticks(hub)
  const used = after.map((each, index) => each - (before[index] ?? 0))
  expect(Math.min(...used)).toBeGreaterThan(0.1 * Math.max(...used))
  // Echoes ask and are answered by whichever thread; the filter lets in what was asked for.
  for (const end of [b, c]) {
    const { stdout } = await hub.node.exec('ping', ['-c', '200', '-i', '0.002', '-q', end.address])
    expect(stdout).toContain(' 0% packet loss')
  }
}, 60_000)
