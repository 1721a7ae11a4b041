import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { dialRelay } from '@ropewalk/peer/tunnels'
import { RopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey } from '@ropewalk/shared/identity'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Network, type Node, open, type Relay, read, serve, startNode, startRelay, until } from './tunnel-world.ts'

let network: Network
const running: { stop(): Promise<void> }[] = []

beforeEach(() => {
  network = new Network()
})

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

async function node(name: string, relays: readonly Relay[], agent: boolean): Promise<Node> {
  const made = await startNode(network, { name, relays, agent })
  running.push(made.tunnels)
  return made
}

/** A way to a relay that can fall silent, as a NAT does that forgets a connection. */
async function wireTo(relay: Relay): Promise<{ relay: Relay; cut(): void; freeze(): void; server: Server }> {
  const pairs = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const on = connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true })
    for (const one of [socket, on]) {
      pairs.add(one)
      one.on('error', () => undefined)
      one.on('close', () => pairs.delete(one))
    }
    socket.pipe(on)
    on.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const end = (): void => {
    for (const socket of pairs) socket.destroy()
  }
  running.push({
    stop: async () => {
      server.close()
      end()
    },
  })
  return {
    relay: { ...relay, address: { ...relay.address, port } },
    server,
    cut: end,
    freeze() {
      for (const socket of pairs) socket.unpipe().pause()
    },
  }
}

describe('faults', () => {
  test('a relay that was away for seconds is met again within one and a half, at once when it is told to be back', async () => {
    const key = generateSigningKey()
    network.add('relay', key)
    const first = await startRelay(network, { key })
    const worker = await node('worker', [first], true)
    const engineer = await node('engineer', [first], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const stream = await open(engineer, worker, 'echo')
    const failed = once(stream, 'error')
    await first.stop()
    await failed
    // long enough for a wait that doubles to have grown beyond
    await until(() => worker.tunnels.relays()[0]?.state === 'offline')
    await new Promise((resolve) => setTimeout(resolve, 4000))
    const second = await startRelay(network, { key, port: first.port })
    const since = performance.now()
    await until(() => second.tunnels.agents().length === 1, 1500)
    const again = await open(engineer, worker, 'echo')
    again.end('back')
    expect((await read(again)).toString()).toBe('back')
    expect(performance.now() - since).toBeLessThan(1500)
    await second.stop()
    await until(() => worker.tunnels.relays()[0]?.state === 'offline')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    const third = await startRelay(network, { key, port: first.port })
    running.push(third)
    const toldAt = performance.now()
    worker.tunnels.relayReturned(key.nodeId)
    await until(() => third.tunnels.agents().length === 1, 1500)
    console.log(`an agent that was told came back after ${Math.round(performance.now() - toldAt)} ms`)
  }, 20_000)

  test('a stream outlives the control stream of its agent', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const worker = await node('worker', [relay], true)
    const engineer = await node('engineer', [relay], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const stream = await open(engineer, worker, 'echo')
    // a second process of the same key takes the place over
    const twin = await startNode(network, { name: 'worker', key: worker.key, relays: [relay], agent: true })
    running.push(twin.tunnels)
    await until(() => relay.events.some(({ event }) => event === 'agent-down'))
    expect(relay.tunnels.agents()).toHaveLength(1)
    stream.end('still here')
    expect((await read(stream)).toString()).toBe('still here')
    expect(worker.tunnels.relays()[0]).toMatchObject({ state: 'offline', reason: { code: 'conflict' } })
  })

  test('a connection that falls silent is noticed, and a new one takes its place', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const wire = await wireTo(relay)
    const worker = await startNode(network, {
      name: 'worker',
      relays: [wire.relay],
      agent: true,
      heartbeat: { idleMs: 300, busyMs: 100 },
    })
    running.push(worker.tunnels)
    const engineer = await node('engineer', [relay], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    wire.freeze()
    await until(() => relay.events.filter(({ event }) => event === 'agent-up').length === 2)
    const stream = await open(engineer, worker, 'echo')
    stream.end('x')
    expect((await read(stream)).toString()).toBe('x')
    expect(relay.tunnels.agents()).toHaveLength(1)
  }, 15_000)

  test('a visitor goes by the second relay when the first is gone', async () => {
    const first = await startRelay(network)
    const second = await startRelay(network)
    running.push(second)
    const worker = await node('worker', [first, second], true)
    const engineer = await node('engineer', [first, second], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    await first.stop()
    const stream = await open(engineer, worker, 'echo')
    stream.end('x')
    expect((await read(stream)).toString()).toBe('x')
    expect(second.tunnels.counts().visitors).toBe(1)
  })

  test('a burst of streams finds connections: the stock grows with it, and shrinks to nothing on stop', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const worker = await node('worker', [relay], true)
    const engineer = await node('engineer', [relay], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const streams = await Promise.all(Array.from({ length: 40 }, () => open(engineer, worker, 'echo')))
    await until(() => (relay.tunnels.agents()[0]?.pooled ?? 0) >= 4)
    expect(relay.tunnels.agents()[0]?.streams).toBe(40)
    for (const stream of streams) stream.destroy()
    await worker.tunnels.stop()
    await until(() => relay.tunnels.counts().pooled === 0 && relay.tunnels.counts().streams === 0)
    expect(relay.tunnels.agents()).toEqual([])
  })

  test('a visitor that gives up leaves nothing behind', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const worker = await node('worker', [relay], true)
    const engineer = await node('engineer', [relay], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const attempts = Array.from({ length: 50 }, async (_, index) => {
      const gone = new AbortController()
      const wish = { nodeId: worker.key.nodeId, service: 'echo', via: 'tunnel' as const, signal: gone.signal }
      const opening = engineer.tunnels.open(wish)
      setTimeout(() => gone.abort(), index % 10)
      await opening.then(({ stream }) => stream.destroy()).catch(() => undefined)
    })
    await Promise.all(attempts)
    await until(() => relay.tunnels.counts().streams === 0 && relay.tunnels.counts().waiting === 0)
    await until(() => worker.tunnels.streams().length === 0 && engineer.tunnels.streams().length === 0)
  }, 15_000)

  test('more streams than a worker may have are refused with a code, those that run go on', async () => {
    const relay = await startRelay(network, { maxStreamsEach: 3 })
    running.push(relay)
    const worker = await node('worker', [relay], true)
    const engineer = await node('engineer', [relay], false)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const streams = [
      await open(engineer, worker, 'echo'),
      await open(engineer, worker, 'echo'),
      await open(engineer, worker, 'echo'),
    ]
    await expect(open(engineer, worker, 'echo')).rejects.toMatchObject({ code: 'limit-reached' })
    for (const stream of streams) {
      stream.end(randomBytes(9))
      expect(await read(stream)).toHaveLength(9)
    }
    await until(() => relay.tunnels.counts().streams === 0)
    const last = await open(engineer, worker, 'echo')
    last.destroy()
  })

  test('a member has so many control streams: the oldest gives way, and the others go on', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const key = generateSigningKey()
    network.add('busy', key)
    const links = []
    for (let count = 0; count < 17; count++) {
      const options = { relay: relay.address, role: 'visitor' as const, signal: AbortSignal.timeout(5000) }
      const link = await dialRelay(options, { key, members: network.view(key) })
      link.channel.listen({ message: () => undefined })
      links.push(link)
    }
    expect(await links[0]?.channel.closed).toMatchObject({ code: 'limit-reached' })
    await until(() => relay.tunnels.counts().visitors === 16)
    for (const { channel } of links) channel.close(new RopewalkError('aborted'))
  })

  test('a member that the others have not heard of yet gets in by its bundle, and is cut when revoked', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const worker = await node('worker', [relay], true)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const engineer = await node('engineer', [relay], false)
    network.hide(engineer.key)
    const stream = await open(engineer, worker, 'echo')
    network.changed()
    stream.write('x')
    await once(stream, 'data')
    const failed = once(stream, 'error')
    network.revoke(engineer.key)
    await failed
  })

  test('the web server beside the tunnels answers on the same port', async () => {
    const relay = await startRelay(network)
    running.push(relay)
    const { get } = await import('node:https')
    const [response] = await once(
      get({ host: '127.0.0.1', port: relay.port, rejectUnauthorized: false, agent: false }),
      'response',
    )
    expect((await read(response)).toString()).toBe('web')
  })
})
