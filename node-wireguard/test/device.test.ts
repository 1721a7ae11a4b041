import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Device, type DeviceOptions, generatePrivateKey, type PathOptions, type PeerOptions } from '../index.ts'
import { codeOf, type Member, member } from './mesh.ts'

const INVALID = 'ERR_WIREGUARD_INVALID_ARGUMENT'
const rootless = { rootless: { addresses: ['10.77.0.1/24'], backend: 'netstack' as const } }
const good: DeviceOptions = {
  privateKey: generatePrivateKey(),
  listen: [{ address: '127.0.0.1', port: 0 }],
  interface: rootless,
}

test('options that cannot be are refused with a code', async () => {
  const wrong: Record<string, unknown>[] = [
    { privateKey: new Uint8Array(31) },
    { privateKey: 'secret' },
    { listen: [{ address: '127.0.0.1', port: 65_536 }] },
    { listen: [{ address: 'localhost', port: 0 }] },
    { interface: {} },
    { interface: { ...rootless, tun: { name: 'x', addresses: [] } } },
    { interface: { ...rootless, kernel: { name: 'x', addresses: [] } } },
    { interface: { kernel: 'x' } },
    { interface: 'tun' },
    { interface: { rootless: { addresses: ['10.77.0.1/33'] } } },
    { interface: { rootless: { addresses: ['10.77.0.1/24'], mtu: 100 } } },
    { interface: { rootless: { addresses: ['10.77.0.1/24'], backend: 'magic' } } },
    { interface: { tun: { name: 'a-name-that-is-too-long', addresses: ['10.77.0.1/24'] } } },
    { interface: { tun: { name: '../x', addresses: ['10.77.0.1/24'] } } },
  ]
  for (const options of wrong) {
    expect(await codeOf(() => Device.open({ ...good, ...options } as never)), JSON.stringify(options)).toBe(INVALID)
  }
  expect(await codeOf(() => Device.open(undefined as never))).toBe(INVALID)
})

describe('an open device', () => {
  let near: Member
  let peer: Uint8Array

  beforeAll(async () => {
    const opened = await member(1, 'netstack')
    if (opened === undefined) throw new Error('the netstack is always there')
    near = opened
    peer = new Uint8Array(32).fill(9)
    near.device.updatePeers([{ publicKey: peer, allowedIps: ['10.77.0.2/32'] }])
  })

  afterAll(() => near.device.close())

  test('refuses peers that cannot be', async () => {
    const wrong: Partial<Record<keyof PeerOptions, unknown>>[] = [
      { publicKey: new Uint8Array(33) },
      { allowedIps: ['10.0.0.0/99'] },
      { allowedIps: 'all' },
      { presharedKey: new Uint8Array(1) },
      { keepaliveSeconds: 70_000 },
      { keepaliveSeconds: -1 },
      { vanilla: true, endpoint: { address: 'host', port: 1 } },
    ]
    const fine = { publicKey: new Uint8Array(32).fill(8), allowedIps: ['10.77.0.3/32'] }
    for (const options of wrong) {
      const code = await codeOf(() => near.device.updatePeers([{ ...fine, ...options } as PeerOptions]))
      expect(code, JSON.stringify(options)).toBe(INVALID)
    }
    expect(near.device.status().peers).toHaveLength(1)
  })

  test('refuses paths that cannot be, and paths of strangers', async () => {
    const fine: PathOptions = { id: 1, local: 0, remote: { address: '127.0.0.1', port: 9 }, costClass: 0 }
    const wrong: Partial<PathOptions>[] = [
      { id: 2 ** 31 },
      { id: -1 },
      { local: 99 },
      { costClass: 256 },
      { remote: { address: '127.0.0.1', port: 1.5 } },
      { session: { slot: -1, secret: new Uint8Array(32) } },
      { session: { slot: 1, secret: new Uint8Array(3) } },
    ]
    for (const options of wrong) {
      const code = await codeOf(() => near.device.updatePaths(peer, [{ ...fine, ...options }]))
      expect(code, JSON.stringify(options)).toBe(INVALID)
    }
    const stranger = new Uint8Array(32).fill(7)
    expect(await codeOf(() => near.device.updatePaths(stranger, [fine]))).toBe('ERR_WIREGUARD_UNKNOWN_PEER')
  })

  test('refuses rules, schedules, messages and waits that cannot be', async () => {
    const { device } = near
    const to = { address: '127.0.0.1', port: 9 }
    const wrong = [
      () => device.setFilter({ allow: [{ protocol: 'sctp' as never }] }),
      () => device.setFilter({ allow: [{ protocol: 'tcp', ports: [9, 8] }] }),
      () => device.setFilter({ allow: [{ protocol: 'tcp', sources: ['everybody'] }] }),
      () => device.setSchedule(peer, { mode: 'fastest' as never }),
      () => device.sendControl(0, to, Buffer.from('this is no STUN message')),
      () => device.sendControl(77, to, Buffer.from('0001000021120a42', 'hex')),
      () => device.dial({ ...to, timeoutMs: 0 }),
      () => device.ping('nobody'),
      () => device.listen({ address: 'x', port: 1 }, () => {}),
    ]
    for (const call of wrong) expect(await codeOf(call), String(call)).toBe(INVALID)
    expect(await codeOf(() => device.setSchedule(new Uint8Array(32), { mode: 'latency' }))).toBe(
      'ERR_WIREGUARD_UNKNOWN_PEER',
    )
  })

  test('says that a listener’s port is taken', async () => {
    const listener = await near.device.listen({ address: near.v4, port: 80 }, () => {})
    const again = () => near.device.listen({ address: near.v4, port: 80 }, () => {})
    expect(await codeOf(again)).toBe('ERR_WIREGUARD_ADDRESS_IN_USE')
    await listener.close()
    const heir = await again()
    await heir.close()
  })
})

test('a closed device ends its events and refuses every call', async () => {
  const opened = await member(1, 'netstack')
  if (opened === undefined) throw new Error('the netstack is always there')
  const { device } = opened
  const rest = (async () => {
    for await (const _batch of device.events);
  })()
  await Promise.all([device.close(), device.close()])
  await rest
  const closed = 'ERR_WIREGUARD_CLOSED'
  expect(await codeOf(() => device.status())).toBe(closed)
  expect(await codeOf(() => device.updatePeers([]))).toBe(closed)
  expect(await codeOf(() => device.dial({ address: '10.77.0.2', port: 1 }))).toBe(closed)
  expect(await codeOf(() => device.ping('10.77.0.2'))).toBe(closed)
  expect(device.counters[0]).toBe(1n)
})
