import { expect, test } from 'vitest'
import { type LabNode, until, up } from '../lab/index.ts'
import { makeKeyPair, type OurEnd, startOurs } from '../wireguard/index.ts'
import { answers } from './pair.ts'

const PORT = 51820
const MARK = 0x5151
const PATIENCE_MS = 5_000
/** Of the device's counters: datagrams of no kind that it knows (node-wireguard/src/device/counters.rs). */
const UNKNOWN_KIND = 16

interface Options {
  readonly vanilla: boolean
  readonly bindInterface?: string
}

const start = (node: LabNode, last: number, options: Options): Promise<OurEnd> =>
  startOurs({ node, keys: makeKeyPair(), addresses: [`10.98.0.${last}/24`], listenPort: PORT, ...options })

/** Tells `near` where `far` is. */
const introduce = (near: OurEnd, far: OurEnd, address = far.node.address) =>
  near.setPeer({
    publicKey: far.publicKey,
    allowedIps: [`${far.address}/32`],
    endpoint: { address, port: PORT },
  })

/** Counts what leaves a node to a device's port, by `match`. */
async function watch(node: LabNode, match: string): Promise<() => Promise<number>> {
  await node.exec('nft', ['add table inet watch'])
  await node.exec('nft', ['add chain inet watch out { type filter hook output priority 0; }'])
  await node.exec('nft', [`add rule inet watch out ${match} udp dport ${PORT} counter`])
  return async () => {
    const { stdout } = await node.exec('nft', ['list chain inet watch out'])
    return Number(/packets (\d+)/.exec(stdout)?.[1])
  }
}

test('packets carry the mark that the device has now, and none after it is taken away', async () => {
  await using world = await up('two-hosts')
  const [a, b] = [
    await start(world.node('a'), 1, { vanilla: true }),
    await start(world.node('b'), 2, { vanilla: true }),
  ]
  await introduce(a, b)
  await introduce(b, a)
  const marked = await watch(a.node, `meta mark ${MARK}`)
  await answers(a, b)
  expect(await marked()).toBe(0)
  await a.setFwmark(MARK)
  await answers(a, b)
  const count = await marked()
  expect(count).toBeGreaterThan(0)
  await a.setFwmark(0)
  await answers(a, b)
  expect(await marked()).toBe(count)
})

test('a device tied to an interface sends and hears by no other', async () => {
  await using world = await up('two-ways')
  const [one, other] = [world.node('a'), world.node('b')]
  const [a, b] = [
    await start(one, 1, { vanilla: true, bindInterface: 'eth0' }),
    await start(other, 2, { vanilla: true }),
  ]
  const [near, far] = other.addresses.filter((address) => address.includes('.'))
  if (near === undefined || far === undefined) throw new Error('b is on two switches')
  await introduce(a, b, near)
  await introduce(b, a)
  await answers(a, b)

  const astray = await watch(one, 'oifname eth1')
  const junk = (address: string) => other.exec('bash', ['-c', `printf junk >/dev/udp/${address}/${PORT}`])
  const heard = async () => (await a.counters())[UNKNOWN_KIND] ?? 0
  const [here, there] = one.addresses.filter((address) => address.includes('.'))
  await junk(there ?? '')
  await junk(here ?? '')
  await until(PATIENCE_MS, 'what came by eth0', async () => ((await heard()) > 0 ? true : null))
  expect(await heard()).toBe(1)

  // The route says eth1, and the other host answers for all its addresses on both.
  expect((await one.exec('ip', ['route', 'get', far])).stdout).toContain('dev eth1')
  await introduce(a, b, far)
  await answers(a, b)
  expect(await a.endpointOf(b.publicKey)).toBe(`${far}:${PORT}`)
  expect(await astray()).toBe(0)
})
