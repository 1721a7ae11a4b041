import { afterAll, beforeEach, expect, test } from 'vitest'
import { type LabNode, up, type World } from '../lab/index.ts'
import { makeKeyPair } from '../wireguard/index.ts'
import { type StockDevice, startStock } from './device.ts'

// More than fits into one message of any kind that a set-up tool and a device pass to each other.

let world: World | undefined
let device: StockDevice
let node: LabNode

beforeEach(async () => {
  await world?.down()
  world = await up('two-hosts')
  node = world.node('a')
  device = await startStock(node, { keys: 'none', down: true })
})
afterAll(() => world?.down())

const key = () => makeKeyPair().publicKey.toString('base64')
const interfaceLines = () => ['[Interface]', `PrivateKey=${makeKeyPair().privateKey.toString('base64')}`]
const span = (length: number, from = 0) => Array.from({ length }, (_, index) => index + from)

test('130,560 allowed IPs of one peer', async () => {
  const networks = span(255, 1).flatMap((a) => span(256).map((b) => [`${a}.${b}.0.0/16`, `${a}::${b}/128`]))
  const lines = [...interfaceLines(), '[Peer]', `PublicKey=${key()}`]
  await setconf([...lines, ...networks.map((pair) => `AllowedIPs=${pair.join(',')}`)])
  const [row] = await device.show('allowed-ips')
  expect(row?.length).toBe(255 * 256 * 2 + 1)
  expect(new Set(row?.slice(1))).toEqual(new Set(networks.flat().map(shown)))
})

test('40 peers with 52 allowed IPs each', async () => {
  const lines = span(40, 1).flatMap((a) => [
    '[Peer]',
    `PublicKey=${key()}`,
    ...span(52, 1).map((b) => `AllowedIPs=${a}.${b}.0.0/16`),
  ])
  await setconf([...interfaceLines(), ...lines])
  const rows = await device.show('allowed-ips')
  expect(rows.map((row) => row.length)).toEqual(span(40).map(() => 53))
})

test('29 peers without any, and one with two behind them', async () => {
  const keys = span(30).map(key)
  const lines = keys.flatMap((each) => ['[Peer]', `PublicKey=${each}`])
  await setconf([...lines, 'AllowedIPs=255.2.3.4/32,abcd::255/128'])
  const { stdout } = await node.exec('wg', ['showconf', device.name])
  expect([...stdout.matchAll(/^PublicKey = (.*)$/gm)].map((match) => match[1]).toSorted()).toEqual(keys.toSorted())
  expect(stdout).toContain(`PublicKey = ${keys.at(-1)}\nAllowedIPs = `)
  const rows = await device.show('allowed-ips')
  expect(
    rows
      .find(([each]) => each === keys.at(-1))
      ?.slice(1)
      .toSorted(),
  ).toEqual(['255.2.3.4/32', 'abcd::255/128'])
})

test('197 allowed IPs given in one word, beside a peer with none', async () => {
  const [none, many] = [makeKeyPair().publicKey, makeKeyPair().publicKey]
  await device.set('peer', none)
  await device.set(
    'peer',
    many,
    'allowed-ips',
    span(197, 1)
      .map((each) => `abcd::${each}`)
      .join(','),
  )
  expect(await device.of(none, 'allowed-ips')).toEqual(['(none)'])
  expect(await device.of(many, 'allowed-ips')).toHaveLength(197)
})

test('5,000 peers, each with an address and a key of its own', async () => {
  const peers = span(5_000).map((each) => [key(), `10.${each >> 8}.${each & 255}.1/32`] as const)
  const lines = peers.flatMap(([each, network]) => ['[Peer]', `PublicKey=${each}`, `AllowedIPs=${network}`])
  await setconf([...interfaceLines(), ...lines])
  const rows = await device.show('allowed-ips')
  expect(new Map(rows.map(([each, ...networks]) => [each, networks.join(',')]))).toEqual(new Map(peers))
})

test('a device that is not there is an error, and says nothing of the one that is', async () => {
  const { code } = await node.exec('wg', ['show', 'doesnotexist'], { mayFail: true })
  expect(code).not.toBe(0)
})

/** `wg setconf`, through a pipe: tens of thousands of lines are more than a command line takes. */
async function setconf(lines: readonly string[]): Promise<void> {
  await node.exec('sh', ['-ec', 'cat | wg setconf "$1" /dev/stdin', 'sh', device.name], {
    input: `${lines.join('\n')}\n`,
  })
}

/** An address as it is printed: `1::0` is `1::`. */
function shown(network: string): string {
  return network.replace(/::0\//, '::/')
}
