import { expect, test } from 'vitest'
import { Device, generatePrivateKey, publicKeyOf } from '../index.ts'
import { codeOf } from './mesh.ts'

const rootless = { rootless: { addresses: ['10.77.0.1/24'], backend: 'netstack' as const } }

async function open(): Promise<Device> {
  const listen = [{ address: '127.0.0.1', port: 0 }]
  return Device.open({ privateKey: generatePrivateKey(), listen, interface: rootless })
}

test('an open device takes another private key and another port', async () => {
  await using device = await open()
  const privateKey = generatePrivateKey()
  device.setPrivateKey(privateKey)
  expect(device.status().publicKey).toEqual(publicKeyOf(privateKey))
  const before = device.sockets[0]?.port
  device.setListenPort(0)
  expect(device.sockets[0]?.port).not.toBe(before)
  expect(device.status().sockets).toEqual(device.sockets)
})

test('a port that another device has is refused, and the own one stays', async () => {
  await using device = await open()
  await using other = await open()
  const before = device.sockets
  const code = await codeOf(() => device.setListenPort(other.sockets[0]?.port ?? 0))
  expect(code).toBe('ERR_WIREGUARD_ADDRESS_IN_USE')
  expect(device.sockets).toEqual(before)
})

test('the status tells whose a network is, keepalive, and that there is a preshared key, but not the key', async () => {
  await using device = await open()
  const [one, two] = [new Uint8Array(32).fill(9), new Uint8Array(32).fill(7)]
  device.updatePeers([
    { publicKey: one, allowedIps: ['10.77.0.2/32', '10.9.0.0/16'], keepaliveSeconds: 25, presharedKey: two },
    { publicKey: two, allowedIps: ['10.9.0.0/16'] },
  ])
  const said = device.status().peers.map(({ allowedIps, keepaliveSeconds, hasPresharedKey }) => ({
    allowedIps,
    keepaliveSeconds,
    hasPresharedKey,
  }))
  expect(said).toEqual([
    { allowedIps: ['10.77.0.2/32'], keepaliveSeconds: 25, hasPresharedKey: true },
    { allowedIps: ['10.9.0.0/16'], keepaliveSeconds: undefined, hasPresharedKey: false },
  ])
})
