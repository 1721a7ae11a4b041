import { expect, test } from 'vitest'
import { until, up } from '../lab/index.ts'
import { makeKeyPair } from '../wireguard/index.ts'
import { type StockDevice, startStock } from './device.ts'
import { at, INNER, makeStockPair, PORT, reach } from './pair.ts'

test('all that is set comes back, in every form that wg has for it', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'), { listenPort: 5555 })
  const [first, second] = [makeKeyPair().publicKey, makeKeyPair().publicKey]
  const psk = Buffer.alloc(32, 9)
  await device.set('fwmark', 0x1234, 'peer', first, 'preshared-key', psk, 'persistent-keepalive', 25)
  await device.set('peer', first, 'endpoint', '10.20.0.2:7777', 'allowed-ips', '10.1.0.0/16,fd01::/64')
  await device.set('peer', second, 'endpoint', '[fd20::2]:8888')
  const [own, ...peers] = await device.show('dump')
  expect(own).toEqual([expect.any(String), device.publicKey, '5555', '0x1234'])
  const base64 = (key: Buffer) => key.toString('base64')
  // A keepalive is due as soon as it is set, or as soon as there is somewhere to send it.
  const sent = expect.stringMatching(/^(0|148)$/)
  expect(peers).toHaveLength(2)
  expect(peers).toContainEqual([base64(first), base64(psk), '10.20.0.2:7777', expect.any(String), '0', '0', sent, '25'])
  expect(peers).toContainEqual([base64(second), '(none)', '[fd20::2]:8888', '(none)', '0', '0', '0', 'off'])
  expect((await device.of(first, 'allowed-ips')).toSorted()).toEqual(['10.1.0.0/16', 'fd01::/64'])
  const { stdout } = await device.node.exec('wg', [])
  expect(stdout).toContain(`interface: ${device.name}`)
  expect(stdout).toContain('persistent keepalive: every 25 seconds')
  await device.set('fwmark', 'off', 'peer', first, 'persistent-keepalive', 'off')
  expect(await device.show('fwmark')).toEqual([['off']])
})

test('what showconf prints, setconf makes again', async () => {
  await using world = await up('two-hosts')
  const [one, other] = await Promise.all(['a', 'b'].map((name) => startStock(world.node(name), { down: true })))
  if (one === undefined || other === undefined) throw new Error('unreachable')
  const [first, second] = [makeKeyPair().publicKey, makeKeyPair().publicKey]
  await one.set('listen-port', 5555, 'fwmark', 7, 'peer', first, 'preshared-key', Buffer.alloc(32, 9))
  await one.set('peer', first, 'allowed-ips', '10.1.0.0/16', 'persistent-keepalive', 3)
  await one.set('peer', second, 'endpoint', '[fd20::2]:8888', 'allowed-ips', '10.2.0.0/16,fd02::/32')
  await other.set('peer', makeKeyPair().publicKey, 'allowed-ips', '10.1.0.0/16')
  const shown = await showconf(one)
  await conf(other, 'setconf', shown)
  expect(sections(await showconf(other))).toEqual(sections(shown))
})

test('addconf adds, syncconf takes away what is gone, and neither disturbs a session', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await reach(a.node, INNER.b.v4)
  const before = await a.of(b, 'latest-handshakes')
  const conf0 = await showconf(a)
  const guest = makeKeyPair().publicKey
  await conf(a, 'addconf', `[Peer]\nPublicKey=${guest.toString('base64')}\nAllowedIPs=10.7.0.0/16\n`)
  expect(await a.show('peers')).toHaveLength(2)
  expect(await a.of(guest, 'allowed-ips')).toEqual(['10.7.0.0/16'])
  await reach(a.node, INNER.b.v4)
  const running = await sentTo(a, b)
  await conf(a, 'syncconf', conf0)
  expect(await a.show('peers')).toEqual([[b.publicKey]])
  await reach(a.node, INNER.b.v4)
  await reach(b.node, INNER.a.v4)
  expect(await a.of(b, 'latest-handshakes')).toEqual(before)
  // Two pings of 128 bytes and no handshake (148 or 92).
  expect((await sentTo(a, b)) - running).toBe(2 * 128)
})

test('syncconf changes what is different, in place', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await reach(a.node, INNER.b.v4)
  const before = await a.of(b, 'latest-handshakes')
  const { sent } = await a.transfer(b)
  const changed = (await showconf(a)).replace(/^AllowedIPs = .*$/m, `AllowedIPs = ${INNER.b.v4}/32, 10.7.0.0/16`)
  await conf(a, 'syncconf', changed)
  expect((await a.of(b, 'allowed-ips')).toSorted()).toEqual(['10.7.0.0/16', `${INNER.b.v4}/32`])
  await reach(a.node, INNER.b.v4)
  expect(await a.of(b, 'latest-handshakes')).toEqual(before)
  expect((await a.transfer(b)).sent - sent).toBe(128)
})

test('setconf replaces all, and the peers meet anew', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await reach(a.node, INNER.b.v4)
  await conf(a, 'setconf', await showconf(a))
  expect(await a.of(b, 'endpoints')).toEqual([at(b.node.address, PORT.b)])
  expect(await a.transfer(b)).toEqual({ received: 0, sent: 0 })
  await until(10_000, 'a new handshake', async () => {
    await a.node.exec('ping', ['-c', '1', '-W', '0.3', INNER.b.v4], { mayFail: true })
    return (await a.of(b, 'latest-handshakes'))[0] === '0' ? null : true
  })
})

const showconf = async (device: StockDevice) => (await device.node.exec('wg', ['showconf', device.name])).stdout
const sentTo = async (device: StockDevice, peer: StockDevice) => (await device.transfer(peer)).sent

async function conf(device: StockDevice, verb: 'setconf' | 'addconf' | 'syncconf', input: string): Promise<void> {
  await device.node.exec('sh', ['-ec', `cat | wg ${verb} ${device.name} /dev/stdin`], { input })
}

/** A configuration's sections and their lines, in an order of their own: devices may print theirs in another. */
function sections(text: string): string[][] {
  const lines = (section: string) =>
    section
      .split('\n')
      .map((line) => line.split(/[ ,]+/).toSorted().join(' '))
      .filter((line) => line !== '')
  return text
    .split(/^(?=\[)/m)
    .map((section) => lines(section).toSorted())
    .toSorted()
}
