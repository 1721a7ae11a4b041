import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guestRefusal } from '../guest/index.ts'
import { iperf, ping, type SpawnOptions, until } from '../lab/index.ts'
import { type End, makeKeyPair } from '../wireguard/index.ts'
import { answers, type Hosts, INNER, makeHosts, makeLinuxPair, move, PORT } from './linux.ts'

const refusal = await guestRefusal()
if (refusal !== null) console.log(`SKIPPED: INTEROP WITH LINUX'S OWN WIREGUARD (${refusal})`)

const [OURS, THEIRS] = [INNER.ours[0], INNER.theirs[0]]
const BOOT_TIMEOUT_MS = 90_000
const LONG_MS = 60_000

describe.skipIf(refusal !== null)(
  "our device and Linux's own WireGuard understand each other",
  { timeout: LONG_MS },
  () => {
    let hosts: Hosts
    beforeAll(async () => {
      hosts = await makeHosts()
    }, BOOT_TIMEOUT_MS)
    afterAll(() => hosts?.[Symbol.asyncDispose]())

    test.each(['ours', 'theirs'] as const)('when the handshake is begun by %s', async (initiator) => {
      await using pair = await makeLinuxPair(hosts, { initiator })
      const [first, second] = initiator === 'ours' ? [pair.ours, pair.theirs] : [pair.theirs, pair.ours]
      await answers(first, second.address)
      await answers(second, first.address)
      expect(await pair.ours.handshakeAge(pair.theirs.publicKey)).toBeLessThan(30)
      expect(await pair.theirs.handshakeAge(pair.ours.publicKey)).toBeLessThan(30)
    })

    test('with a preshared key, and not with another one', async () => {
      await using pair = await makeLinuxPair(hosts, { presharedKey: randomBytes(32), initiator: 'ours' })
      await answers(pair.ours, THEIRS)
      const allowedIps = [`${OURS}/32`]
      await pair.theirs.setPeer({ publicKey: pair.ours.publicKey, allowedIps, presharedKey: randomBytes(32) })
      const again = await pair.restart('ours')
      const { code } = await again.ours.node.exec('ping', ['-c', '2', '-W', '2', THEIRS], { mayFail: true })
      expect(code).toBe(1)
      expect(await again.ours.handshakeAge(pair.theirs.publicKey)).toBe(null)
      await again.ours.stop()
    })

    test('over IPv6 outside, IPv4 and IPv6 inside', async () => {
      await using pair = await makeLinuxPair(hosts, { v6: true })
      await answers(pair.ours, THEIRS)
      await answers(pair.theirs, INNER.ours[1])
      expect(await pair.theirs.endpointOf(pair.ours.publicKey)).toMatch(/^\[fd20::1\]:/)
    })

    test('up to the last byte of the MTU, whatever is padded, and not beyond', async () => {
      const mtu = 1420
      await using pair = await makeLinuxPair(hosts, { mtu })
      await answers(pair.ours, THEIRS)
      const exactly = (from: End, to: string, headers: number, bytes: number) =>
        from.node.exec('ping', ['-c', '1', '-W', '5', '-M', 'do', '-s', (bytes - headers).toString(), to])
      for (const bytes of [28, 29, 43, 44, 45, 1403, 1404, 1405, 1419, mtu]) await exactly(pair.ours, THEIRS, 28, bytes)
      await exactly(pair.theirs, OURS, 28, mtu)
      await exactly(pair.theirs, INNER.ours[1], 48, mtu)
      await exactly(pair.ours, INNER.theirs[1], 48, mtu)
      await expect(exactly(pair.ours, THEIRS, 28, mtu + 1)).rejects.toThrow(/too long|mtu=1420/i)
      for (const [from, to] of [
        [pair.ours, THEIRS],
        [pair.theirs, OURS],
      ] as const) {
        await from.node.exec('ping', ['-c', '1', '-W', '5', '-s', '4000', to])
      }
    })

    test('under load in both directions, and count the same bytes', async () => {
      await using pair = await makeLinuxPair(hosts)
      await answers(pair.ours, THEIRS)
      const [from, to] = [pair.ours.node, pair.theirs.node]
      for (const reverse of [false, true]) {
        const { gbitPerSecond } = await iperf({ from, to, address: THEIRS, seconds: 2, reverse })
        expect(gbitPerSecond).toBeGreaterThan(0.001)
        const udp = { udpBytes: 1200, rateMbit: 2 }
        const { lostShare } = await iperf({ from, to, address: THEIRS, seconds: 1, reverse, ...udp })
        expect(lostShare).toBeLessThan(0.02)
      }
      await until(10_000, 'the counters to agree', async () => {
        const ours = await pair.ours.bytes(pair.theirs.publicKey)
        const { stdout } = await pair.theirs.node.exec('wg', ['show', 'wg0', 'transfer'])
        const [, received, sent] = stdout.trim().split('\t').map(Number)
        return ours.rxBytes === sent && ours.txBytes === received ? true : null
      })
    })

    test('and what goes through is what arrives', async () => {
      await using pair = await makeLinuxPair(hosts)
      await answers(pair.ours, THEIRS)
      const [ours, theirs] = [pair.ours.node, pair.theirs.node]
      const sent = join(await hosts.world.folder(), 'sent')
      await writeFile(sent, randomBytes(4_000_000))
      const digest = createHash('sha256')
        .update(await readFile(sent))
        .digest('hex')
      // Each taker's stdin stays open: nc ends when the other has no more to say, whatever it still had to send itself.
      const open = { stdio: ['pipe', 'pipe', 'pipe'] } satisfies SpawnOptions
      const taking = theirs.spawn('sh', ['-c', 'nc -l -p 9000 | tee /tmp/taken | sha256sum'], open)
      await listening(pair.theirs)
      await ours.exec('sh', ['-c', `busybox nc ${THEIRS} 9000 <${sent}`])
      await taking.says(new RegExp(digest))
      const giving = theirs.spawn('sh', ['-c', 'nc -l -p 9000 </tmp/taken'])
      await listening(pair.theirs)
      const taken = ours.spawn('sh', ['-c', `busybox nc ${THEIRS} 9000 | sha256sum`], open)
      await taken.says(new RegExp(digest))
      await giving.ended
    })

    test.each(['ours', 'theirs'] as const)('when %s comes from another address of a sudden', async (roamer) => {
      await using pair = await makeLinuxPair(hosts)
      const [mover, stayer] = roamer === 'ours' ? [pair.ours, pair.theirs] : [pair.theirs, pair.ours]
      await answers(mover, stayer.address)
      const before = mover.node.address
      const running = ping(mover.node, stayer.address, { intervalMs: 100 })
      await running.replied(5)
      await move(mover.node, before, '10.20.0.77')
      try {
        await running.replied(5)
        await running.stop()
        expect(await stayer.endpointOf(mover.publicKey)).toBe('10.20.0.77:51820')
        await answers(stayer, mover.address)
      } finally {
        await move(mover.node, '10.20.0.77', before)
      }
    })

    test.each([
      ['these networks alone', `${OURS}/32, ${INNER.ours[1]}/128`, OURS],
      ['everything', '0.0.0.0/0, ::/0', OURS],
    ])('when wg-quick sends %s to us', async (_, allowedIps, address) => {
      await using pair = await makeLinuxPair(hosts, { initiator: 'theirs' })
      const { guest } = hosts
      const [keys, presharedKey] = [makeKeyPair(), randomBytes(32)]
      await pair.theirs.stop()
      const config = [
        '[Interface]',
        `PrivateKey = ${keys.privateKey.toString('base64')}`,
        `Address = ${THEIRS}/24, ${INNER.theirs[1]}/64`,
        `ListenPort = ${PORT}`,
        'MTU = 1400',
        '[Peer]',
        `PublicKey = ${pair.ours.publicKey.toString('base64')}`,
        `PresharedKey = ${presharedKey.toString('base64')}`,
        `AllowedIPs = ${allowedIps}`,
        `Endpoint = ${hosts.world.node('a').address}:${PORT}`,
        'PersistentKeepalive = 25',
      ]
      const peer = { publicKey: keys.publicKey, presharedKey, allowedIps: [`${THEIRS}/32`, `${INNER.theirs[1]}/128`] }
      await pair.ours.setPeer(peer)
      await guest.exec('sh', ['-c', 'umask 077; cat >/etc/wireguard/wg0.conf'], { input: config.join('\n') })
      await guest.exec('wg-quick', ['up', 'wg0'])
      try {
        await answers(pair.theirs, address)
        await answers(pair.theirs, INNER.ours[1])
        await answers(pair.ours, THEIRS)
        expect((await guest.exec('wg', ['show', 'wg0', 'persistent-keepalive'])).stdout).toContain('25')
      } finally {
        await guest.exec('wg-quick', ['down', 'wg0'])
      }
    })

    test.each(['ours', 'theirs'] as const)('when %s starts anew', async (which) => {
      await using pair = await makeLinuxPair(hosts)
      await answers(pair.ours, THEIRS)
      const again = await pair.restart(which)
      const [one, other] = which === 'ours' ? [again.ours, THEIRS] : [again.theirs, OURS]
      await answers(one, other)
      await (which === 'ours' ? again.ours : again.theirs).stop()
    })
  },
)

async function listening({ node }: End): Promise<void> {
  await until(10_000, 'a listener', async () => {
    const { stdout } = await node.exec('netstat', ['-ltn'])
    return /:9000 /.test(stdout) ? true : null
  })
}
