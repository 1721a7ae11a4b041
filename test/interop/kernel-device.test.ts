import { randomBytes } from 'node:crypto'
import type { DeviceEvent } from 'node-wireguard'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type DeviceProcess,
  deviceFiles,
  type Guest,
  type GuestDevice,
  guestRefusal,
  sent,
  startDevices,
  startGuest,
} from '../guest/index.ts'
import { iperf, until, up, type World } from '../lab/index.ts'
import { makeKeyPair, type OurEnd, startOurs } from '../wireguard/index.ts'
import { move, PORT } from './linux.ts'

const refusal = await guestRefusal()
if (refusal !== null) console.log(`SKIPPED: THE KERNEL BACKEND (${refusal})`)

const BOOT_TIMEOUT_MS = 120_000
const LONG_MS = 60_000
const [OURS, THEIRS] = ['10.98.0.1', '10.98.0.2']
/** With Node and the engine in its memory. */
const MEMORY_MIB = 1024

describe.skipIf(refusal !== null)("a device of Linux's own WireGuard", { timeout: LONG_MS }, () => {
  let world: World
  let guest: Guest
  let devices: DeviceProcess
  beforeAll(async () => {
    world = await up('two-hosts')
    guest = await startGuest(world, 'b', { files: await deviceFiles(), memoryMib: MEMORY_MIB })
    devices = startDevices(guest)
  }, BOOT_TIMEOUT_MS)
  afterAll(() => world?.down())

  const keys = { ours: makeKeyPair(), theirs: makeKeyPair() }
  const everywhere = (port: number) => [
    { address: '0.0.0.0', port },
    { address: '::', port },
  ]
  const options = (name: string, port = PORT) => ({
    privateKey: sent(keys.theirs.privateKey),
    listen: everywhere(port),
    interface: { kernel: { name, mtu: 1400, addresses: [`${THEIRS}/24`, 'fd98::2/64'] } },
  })

  /** Opens one, and closes it whatever happens. */
  async function withDevice(name: string, work: (device: GuestDevice) => Promise<void>): Promise<void> {
    const device = await devices.open(options(name))
    try {
      await work(device)
    } finally {
      await device.call('close')
    }
  }

  /** Our engine at the other host, introduced to the device in the guest. */
  async function withOurs(device: GuestDevice, work: (ours: OurEnd) => Promise<void>): Promise<void> {
    const node = world.node('a')
    const addresses = [`${OURS}/24`, 'fd98::1/64']
    const ours = await startOurs({ node, keys: keys.ours, addresses, listenPort: PORT, mtu: 1400, vanilla: true })
    try {
      const presharedKey = randomBytes(32)
      await ours.setPeer({
        publicKey: keys.theirs.publicKey,
        allowedIps: [`${THEIRS}/32`, 'fd98::2/128'],
        presharedKey,
      })
      const peer = {
        publicKey: sent(keys.ours.publicKey),
        presharedKey: sent(presharedKey),
        allowedIps: [`${OURS}/32`, 'fd98::1/128'],
        vanilla: true,
        endpoint: { address: node.address, port: PORT },
        keepaliveSeconds: 25,
      }
      await device.call('updatePeers', [peer])
      await work(ours)
    } finally {
      await ours.stop()
    }
  }

  const answered = (address: string) =>
    until(LONG_MS / 2, `an answer from ${address}`, async () => {
      const { code } = await guest.exec('ping', ['-c', '1', '-W', '1', address], { mayFail: true })
      return code === 0 ? true : null
    })

  test('talks with our engine, and tells what happens', async () => {
    await withDevice('kernel0', async (device) => {
      expect(await device.call('backend')).toBe('kernel')
      expect(await device.call('sockets')).toEqual(everywhere(PORT).map((socket, id) => ({ id, ...socket })))
      await withOurs(device, async (ours) => {
        await answered(OURS)
        await answered('fd98::1')
        for (const reverse of [false, true]) {
          const { bytes } = await iperf({ from: ours.node, to: guest, address: THEIRS, seconds: 2, reverse })
          expect(bytes).toBeGreaterThan(100_000)
        }
        await until(LONG_MS / 4, 'the counters to agree', async () => {
          const [one, other] = [await ours.bytes(keys.theirs.publicKey), (await device.status()).peers[0]]
          return one.rxBytes === other?.txBytes && one.txBytes === other.rxBytes ? true : null
        })
        const { publicKey, mtu, addresses, peers } = await device.status()
        expect(publicKey).toEqual(sent(keys.theirs.publicKey))
        expect({ mtu, addresses }).toEqual({ mtu: 1400, addresses: [`${THEIRS}/24`, 'fd98::2/64'] })
        const remote = { address: world.node('a').address, port: PORT }
        expect(peers).toMatchObject([
          {
            publicKey: sent(keys.ours.publicKey),
            vanilla: true,
            hasPresharedKey: true,
            keepaliveSeconds: 25,
            allowedIps: [`${OURS}/32`, 'fd98::1/128'],
            paths: [{ id: 0, local: 0, remote, state: 'active', active: true, mtu: 1400 }],
          },
        ])
        expect(peers[0]?.lastHandshakeMs).toBeLessThan(LONG_MS)
        expect((await guest.exec('wg', ['show', 'kernel0', 'peers'])).stdout.trim()).toBe(
          keys.ours.publicKey.toString('base64'),
        )
        await tells(device, ({ type }) => type === 'handshake')
        const before = ours.node.address
        await move(ours.node, before, '10.20.0.77')
        try {
          await ours.node.exec('ping', ['-c', '1', '-W', '5', THEIRS])
          const [peer] = (await device.status()).peers
          expect(peer?.paths[0]?.remote).toEqual({ address: '10.20.0.77', port: PORT })
          await tells(device, (event) => event.type === 'endpoint' && event.remote.address === '10.20.0.77')
        } finally {
          await move(ours.node, '10.20.0.77', before)
        }
      })
      await device.call('close')
      expect((await guest.exec('ip', ['link', 'show', 'kernel0'], { mayFail: true })).code).not.toBe(0)
      await expect(device.status()).rejects.toMatchObject({ code: 'ERR_WIREGUARD_CLOSED' })
    })
  })

  test('holds more peers and networks than one message, and each set is whole', async () => {
    await withDevice('kernel1', async (device) => {
      const network = (index: number) => `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`
      const one = { publicKey: sent(makeKeyPair().publicKey), vanilla: true }
      const networks = Array.from({ length: 2000 }, (_, index) => network(index))
      const others = Array.from({ length: 300 }, (_, index) => ({
        publicKey: sent(makeKeyPair().publicKey),
        vanilla: true,
        allowedIps: [`fd99:${(index + 1).toString(16)}::/64`],
      }))
      await device.call('updatePeers', [{ ...one, allowedIps: networks, keepaliveSeconds: 5 }, ...others])
      const { peers } = await device.status()
      expect(peers.length).toBe(301)
      const big = peers.find(({ publicKey }) => publicKey.base64 === one.publicKey.base64)
      expect(new Set(big?.allowedIps)).toEqual(new Set(networks))
      for (const other of others) {
        const found = peers.find(({ publicKey }) => publicKey.base64 === other.publicKey.base64)
        expect(found?.allowedIps).toEqual(other.allowedIps)
      }
      // Another peer takes one network; the big one keeps only what is said now, and no keepalive.
      const taker = { ...others[0], allowedIps: [network(7)] }
      await device.call(
        'updatePeers',
        [{ ...one, allowedIps: [network(7), network(9)] }, taker],
        [others[1]?.publicKey, sent(makeKeyPair().publicKey)],
      )
      const after = (await device.status()).peers
      expect(after.length).toBe(300)
      const left = after.find(({ publicKey }) => publicKey.base64 === one.publicKey.base64)
      expect(left).toMatchObject({ allowedIps: [network(9)] })
      expect(left?.keepaliveSeconds).toBe(undefined)
    })
  })

  test('changes its key, port and mark while it runs', async () => {
    await withDevice('kernel2', async (device) => {
      const other = makeKeyPair()
      await device.call('setPrivateKey', sent(other.privateKey))
      await device.call('setFwmark', 4660)
      await device.call('setListenPort', 51999)
      const { publicKey, fwmark, sockets } = await device.status()
      expect({ publicKey, fwmark }).toEqual({ publicKey: sent(other.publicKey), fwmark: 4660 })
      expect(sockets.map(({ port }) => port)).toEqual([51999, 51999])
      await device.call('setListenPort', 0)
      const [free] = (await device.call('sockets')) as { port: number }[]
      expect(free?.port).toBeGreaterThan(1023)
      const shown = (await guest.exec('wg', ['show', 'kernel2'])).stdout
      expect(shown).toContain(`listening port: ${free?.port}`)
      expect(shown).toContain('fwmark: 0x1234')
    })
  })

  test('refuses what the kernel cannot do, and says what can', async () => {
    const peer = { publicKey: sent(makeKeyPair().publicKey), allowedIps: [] }
    await withDevice('kernel3', async (device) => {
      const refused = { code: 'ERR_WIREGUARD_UNSUPPORTED', hint: expect.stringContaining('tun') }
      for (const method of ['updatePaths', 'setSchedule', 'setFilter', 'sendControl'] as const) {
        await expect(device.call(method), method).rejects.toMatchObject(refused)
      }
      await expect(device.call('updatePeers', [peer])).rejects.toMatchObject({
        code: 'ERR_WIREGUARD_UNSUPPORTED',
        message: expect.stringContaining('vanilla: true'),
      })
      for (const method of ['dial', 'listen', 'dialUdp', 'listenUdp', 'ping'] as const) {
        await expect(device.call(method), method).rejects.toMatchObject({ code: 'ERR_WIREGUARD_NOT_ROOTLESS' })
      }
      await expect(devices.open(options('kernel3', 0))).rejects.toMatchObject({
        code: 'ERR_WIREGUARD_IO',
        message: expect.stringContaining('ip link delete kernel3'),
      })
      await expect(devices.open(options('other3'))).rejects.toMatchObject({
        code: 'ERR_WIREGUARD_ADDRESS_IN_USE',
      })
      expect((await guest.exec('ip', ['link', 'show', 'other3'], { mayFail: true })).code).not.toBe(0)
      const onlyV4 = { ...options('other3'), listen: everywhere(0).slice(0, 1) }
      await expect(devices.open(onlyV4)).rejects.toMatchObject({
        code: 'ERR_WIREGUARD_INVALID_ARGUMENT',
        message: expect.stringContaining('name both'),
      })
      for (const wrong of [{ bindInterface: 'eth0' }, { uapi: true }]) {
        await expect(devices.open({ ...options('other3'), ...wrong })).rejects.toMatchObject({
          code: 'ERR_WIREGUARD_INVALID_ARGUMENT',
        })
      }
    })
  })

  test('tells when somebody removes its interface', async () => {
    await withDevice('kernel4', async (device) => {
      await guest.exec('ip', ['link', 'delete', 'kernel4'])
      await tells(device, ({ type }) => type === 'error')
      await expect(device.status()).rejects.toMatchObject({
        code: 'ERR_WIREGUARD_FAILED',
        message: expect.stringContaining('somebody has removed the interface kernel4'),
      })
    })
  })

  test('says what to do where the kernel has no WireGuard', async () => {
    await guest.exec('rmmod', ['wireguard'])
    await expect(devices.open(options('kernel5'))).rejects.toMatchObject({
      code: 'ERR_WIREGUARD_UNSUPPORTED',
      message: expect.stringContaining('modprobe wireguard'),
    })
  })
})

/** Waits for an event, among all that there were. */
async function tells(device: GuestDevice, is: (event: DeviceEvent) => boolean): Promise<void> {
  await until(LONG_MS / 4, 'the event', async () => {
    const events = (await device.call('events')) as DeviceEvent[]
    return events.some(is) ? true : null
  })
}
