import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import type { Via } from '@ropewalk/shared/api'
import { MESH_STREAM_PORT } from '@ropewalk/shared/tunnel'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Network, type Node, type Relay, read, serve, startNode, startRelay, until } from './tunnel-world.ts'

let network: Network
let relay: Relay
let worker: Node
let engineer: Node
let address: string

beforeEach(async () => {
  network = new Network()
  relay = await startRelay(network)
  address = `127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(2, 255)}`
  worker = await startNode(network, { name: 'worker', relays: [relay], agent: true, meshAddress: address })
  engineer = await startNode(network, { name: 'engineer', relays: [relay], agent: false, meshAddress: '127.0.0.1' })
})

afterEach(async () => {
  await Promise.all([worker.tunnels.stop(), engineer.tunnels.stop()])
  await relay.stop()
})

const openBy = (via: Via, service = 'echo') =>
  engineer.tunnels.open({ nodeId: worker.key.nodeId, service, via, signal: AbortSignal.timeout(5000) })

describe('streams over the mesh', () => {
  test('have the same decision at the worker, and no relay in between', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const { stream, via } = await openBy('mesh')
    expect(via).toBe('mesh')
    expect(relay.tunnels.streams()).toEqual([])
    expect(worker.tunnels.streams()).toMatchObject([{ via: 'mesh', visitor: 'engineer', service: 'echo' }])
    stream.end('x')
    expect((await read(stream)).toString()).toBe('x')
    await expect(openBy('mesh', 'other')).rejects.toMatchObject({ code: 'not-exposed' })
    const live = (await openBy('mesh')).stream
    const failed = once(live, 'error')
    network.revoke(engineer.key)
    await failed
  })

  test('are taken by themselves where packets go straight, else a tunnel is', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    for (const direct of [true, false]) {
      network.direct = direct
      const { stream, via } = await openBy('auto')
      expect(via).toBe(direct ? 'mesh' : 'tunnel')
      stream.destroy()
    }
  })

  test('give way to a tunnel when the mesh does not answer, and the other way round', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    network.direct = true
    network.mesh.set(worker.key.nodeId, '127.255.255.254')
    const tunnel = await openBy('auto')
    expect(tunnel.via).toBe('tunnel')
    tunnel.stream.destroy()
    network.mesh.set(worker.key.nodeId, address)
    network.direct = false
    await relay.stop()
    const mesh = await openBy('auto')
    expect(mesh.via).toBe('mesh')
    mesh.stream.destroy()
    await expect(openBy('tunnel')).rejects.toMatchObject({ code: 'unreachable', exitCode: 4 })
  })

  test('a stranger on the mesh gets nothing out of the stream port', async () => {
    const socket = connect({ host: address, port: MESH_STREAM_PORT })
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\n\r\n')
    const heard: Buffer[] = []
    socket.on('data', (chunk) => heard.push(chunk))
    await new Promise((resolve) => socket.once('close', resolve))
    // at most an alert of TLS
    expect(Buffer.concat(heard).length).toBeLessThan(16)
  })
})

describe('exposed ports on the mesh address', () => {
  test('open and close with what is exposed, and lead to loopback with both halves', async () => {
    const server = await serve(worker, 'late', (socket) => {
      socket.on('end', () => socket.end('heard'))
      socket.resume()
    })
    const { port } = server.address() as AddressInfo
    const reach = async (): Promise<string> => {
      const socket = connect({ host: address, port, allowHalfOpen: true })
      socket.end('hello')
      return (await read(socket)).toString()
    }
    await until(() => worker.tunnels.closedPorts().size === 0)
    await retry(async () => expect(await reach()).toBe('heard'))
    worker.services.unexpose('late')
    await retry(async () => {
      const socket = connect({ host: address, port })
      const [error] = await once(socket, 'error')
      expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    })
  })

  test('that a service holds itself on every address are left to it', async () => {
    const server = createServer((socket) => socket.end('own'))
    server.listen(0, '0.0.0.0')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    worker.services.expose({ name: 'own', port, protocol: 'tcp', http: false })
    await until(() => worker.tunnels.closedPorts().has('own'))
    expect(worker.tunnels.closedPorts().get('own')).toMatchObject({ code: 'address-in-use' })
    expect((await read(connect({ host: address, port }))).toString()).toBe('own')
    server.close()
  })
})

/** Until an assertion about something that follows soon holds. */
async function retry(assertion: () => Promise<void>): Promise<void> {
  const limit = performance.now() + 3000
  for (;;) {
    try {
      await assertion()
      return
    } catch (error) {
      if (performance.now() > limit) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
