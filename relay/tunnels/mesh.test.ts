import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
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
    const duplex = stream.duplex()
    duplex.end('x')
    expect((await read(duplex)).toString()).toBe('x')
    await expect(openBy('mesh', 'other')).rejects.toMatchObject({ code: 'not-exposed' })
    const live = (await openBy('mesh')).stream.duplex()
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

  test('are cut when the service is exposed no more, and when its member is revoked', async () => {
    for (const end of [() => worker.services.unexpose('live'), () => network.revoke(engineer.key)]) {
      const server = await serve(worker, 'live', (socket) => socket.pipe(socket))
      const { port } = server.address() as AddressInfo
      const socket = await retry(async () => {
        const made = connect({ host: address, port })
        await once(made, 'connect')
        return made
      })
      socket.write('x')
      await once(socket, 'data')
      expect(worker.tunnels.streams()).toMatchObject([{ via: 'mesh', visitor: 'engineer', service: 'live' }])
      const gone = new Promise((resolve) => server.sockets.at(-1)?.once('close', resolve))
      const reset = once(socket, 'error')
      const since = performance.now()
      end()
      const [error] = await reset
      expect(error).toMatchObject({ code: 'ECONNRESET' })
      await gone
      expect(performance.now() - since).toBeLessThan(2000)
      expect(worker.tunnels.streams()).toEqual([])
    }
  })

  test('are for members’ addresses, for those whom the policy lets in, and for so many of one member', async () => {
    const limited = await startNode(network, {
      name: 'limited',
      relays: [],
      agent: true,
      meshAddress: `127.77.${randomInt(255)}.${randomInt(2, 255)}`,
      limits: { total: 4, perMember: 2 },
    })
    const host = network.mesh.get(limited.key.nodeId) ?? ''
    const server = await serve(limited, 'echo', (socket) => socket.pipe(socket))
    const { port } = server.address() as AddressInfo
    const reaches = async (localAddress: string, at = port): Promise<boolean> => {
      const socket = connect({ host, port: at, localAddress })
      socket.on('error', () => undefined)
      socket.write('x')
      const heard = await new Promise<boolean>((resolve) => {
        socket.once('data', () => resolve(true))
        socket.once('close', () => resolve(false))
      })
      if (heard) running.push(socket)
      return heard
    }
    const running: Socket[] = []
    await retry(async () => expect(await reaches('127.0.0.1')).toBe(true))
    expect(await reaches('127.9.9.9')).toBe(false)
    expect(await reaches('127.9.9.9', MESH_STREAM_PORT)).toBe(false)
    expect(await reaches('127.0.0.1')).toBe(true)
    expect(await reaches('127.0.0.1')).toBe(false)
    for (const socket of running.splice(0)) socket.destroy()
    await until(() => limited.tunnels.streams().length === 0)
    network.policy = { rules: [] }
    expect(await reaches('127.0.0.1')).toBe(false)
    await limited.tunnels.stop()
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
async function retry<T>(assertion: () => Promise<T>): Promise<T> {
  const limit = performance.now() + 3000
  for (;;) {
    try {
      return await assertion()
    } catch (error) {
      if (performance.now() > limit) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
