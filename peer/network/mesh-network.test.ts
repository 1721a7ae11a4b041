import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { listenOnDevice } from 'node-wireguard'
import { describe, expect, test } from 'vitest'
import { kernelMesh } from '../tunnels/index.ts'

const other = Object.keys(networkInterfaces()).find((name) => name !== 'lo')

describe('what listens on a mesh address', () => {
  test.skipIf(other === undefined)('is deaf to what came by another device than its own, loopback aside', async () => {
    const device = other ?? ''
    const alone = createServer((socket) => socket.end('heard'))
    alone.listen({ fd: listenOnDevice(device, { address: '127.0.0.1', port: 0 }) })
    await once(alone, 'listening')
    const { port } = alone.address() as AddressInfo
    const [error] = await once(connect({ host: '127.0.0.1', port }), 'error')
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    alone.close()
    const mesh = kernelMesh(['127.0.0.1'], { device, listenOn: listenOnDevice })
    const listener = await mesh.listen(port, (socket) => socket.end('heard'))
    const near = connect({ host: '127.0.0.1', port })
    expect(String((await once(near, 'data'))[0])).toBe('heard')
    listener.close()
  })

  test('says which device is missing', () => {
    expect(() => listenOnDevice('no-such-device', { address: '127.0.0.1', port: 0 })).toThrow(/no-such-device/)
    expect(() => listenOnDevice('x'.repeat(40), { address: '127.0.0.1', port: 0 })).toThrow(/127\.0\.0\.1/)
  })
})
