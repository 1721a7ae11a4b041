import { expect, test } from 'vitest'
import { up } from '../lab/index.ts'
import { DEVICE, makeKeyPair, startOurs } from '../wireguard/index.ts'
import { answers } from './pair.ts'

const PORT = 51820

test('a device of a program is seen and set by the tools of WireGuard when that was asked for', async () => {
  await using world = await up('two-hosts')
  const keys = { a: makeKeyPair(), b: makeKeyPair() }
  const shared = { listenPort: PORT, vanilla: true, uapi: true }
  const [a, b] = [world.node('a'), world.node('b')]
  const [ours, theirs] = await Promise.all([
    startOurs({ ...shared, node: a, keys: keys.a, addresses: ['10.97.0.1/24'] }),
    startOurs({ ...shared, node: b, keys: keys.b, addresses: ['10.97.0.2/24'] }),
  ])
  await ours.setPeer({
    publicKey: theirs.publicKey,
    allowedIps: ['10.97.0.2/32'],
    endpoint: { address: b.address, port: PORT },
  })
  const publicKey = ours.publicKey.toString('base64')
  await b.exec('wg', ['set', DEVICE, 'peer', publicKey, 'allowed-ips', '10.97.0.1/32,fd97::/64'])
  await answers(ours, theirs)

  const dump = (await b.exec('wg', ['show', DEVICE, 'dump'])).stdout.trim().split('\n')
  const [privateKey, itsKey, port, mark] = dump[0]?.split('\t') ?? []
  expect([itsKey, port, mark]).toEqual([theirs.publicKey.toString('base64'), `${PORT}`, 'off'])
  expect(Buffer.from(privateKey ?? '', 'base64')).toHaveLength(32)
  const [peer, psk, endpoint, allowed, met, rx, tx, keepalive] = dump[1]?.split('\t') ?? []
  expect([peer, psk, endpoint, allowed, keepalive]).toEqual([
    publicKey,
    '(none)',
    `${a.address}:${PORT}`,
    '10.97.0.1/32,fd97::/64',
    'off',
  ])
  expect(Math.abs(Number(met) - Date.now() / 1000)).toBeLessThan(60)
  expect(Math.min(Number(rx), Number(tx))).toBeGreaterThan(0)

  await b.exec('wg', ['set', DEVICE, 'peer', publicKey, 'remove'])
  expect((await b.exec('wg', ['show', DEVICE, 'peers'])).stdout).toBe('')
  await theirs.stop()
  const gone = await b.exec('ls', ['/var/run/wireguard'], { mayFail: true })
  expect(gone.stdout).toBe('')
})
