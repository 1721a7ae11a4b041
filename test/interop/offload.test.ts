import { expect, test } from 'vitest'
import { iperf, until, up } from '../lab/index.ts'
import { makeKeyPair, startOurs } from '../wireguard/index.ts'
import { answers } from './pair.ts'

/** What no single datagram on a wire of 1,500 bytes reaches, and every batch of full messages does. */
const BATCHES = 'meta l4proto udp meta length > 1600'
const PORT = 51820
const LONGEST_MS = 5_000
const SOME_BYTES = 20_000_000

test('batches that a path loses are noticed within a second, and data goes on without them', async () => {
  await using world = await up('two-hosts')
  const [from, to] = [world.node('a'), world.node('b')]
  const start = (node: typeof from, address: string) =>
    startOurs({ node, keys: makeKeyPair(), addresses: [`${address}/24`], listenPort: PORT, vanilla: false })
  const [ours, theirs] = await Promise.all([start(from, '10.98.0.1'), start(to, '10.98.0.2')])
  const introduce = (end: typeof ours, other: typeof ours) =>
    end.setPeer({
      publicKey: other.publicKey,
      allowedIps: [`${other.address}/32`],
      endpoint: { address: other.node.address, port: PORT },
    })
  await introduce(ours, theirs)
  await introduce(theirs, ours)
  await answers(ours, theirs)

  const path = async () => (await ours.paths(theirs.publicKey)).find(({ active }) => active)
  const carried = async () => (await path())?.txBytes ?? 0
  const more = async (than: number) => until(LONGEST_MS, 'data', async () => ((await carried()) > than ? true : null))
  expect((await path())?.offload).toBe(true)
  const running = iperf({ from, to, address: theirs.address, seconds: 6 })
  await more(SOME_BYTES)
  await to.exec('nft', ['add table inet trouble'])
  await to.exec('nft', ['add chain inet trouble in { type filter hook prerouting priority raw; }'])
  await to.exec('nft', [`add rule inet trouble in ${BATCHES} counter drop`])
  const broken = performance.now()
  await until(LONGEST_MS, 'the end of batches', async () => ((await path())?.offload === false ? true : null))
  expect(performance.now() - broken).toBeLessThan(1_000)
  const news = () => ours.events.filter((event) => event.type === 'path-offload').map(({ on }) => on)
  await until(LONGEST_MS, 'batches to be blamed', () => (news().length > 0 ? true : null))
  await more((await carried()) + SOME_BYTES)
  expect(news()).toStrictEqual([false])
  expect((await path())?.offload).toBe(false)
  expect((await running).gbitPerSecond).toBeGreaterThan(0.05)
})
