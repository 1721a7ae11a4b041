import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  digest,
  Network,
  type Node,
  open,
  type Relay,
  read,
  serve,
  startNode,
  startRelay,
  until,
} from './tunnel-world.ts'

let network: Network
let relay: Relay
let worker: Node
let engineer: Node

beforeEach(async () => {
  network = new Network()
  relay = await startRelay(network)
  worker = await startNode(network, { name: 'worker', relays: [relay], agent: true })
  engineer = await startNode(network, { name: 'engineer', relays: [relay], agent: false })
})

afterEach(async () => {
  await Promise.all([worker.tunnels.stop(), engineer.tunnels.stop()])
  await relay.stop()
})

describe('a stream through relay and agent', () => {
  test('carries 100 MB there and back unchanged', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const stream = await open(engineer, worker, 'echo')
    const block = randomBytes(1024 * 1024)
    const sent = createHash('sha256')
    const back = digest(stream)
    for (let count = 0; count < 100; count++) {
      sent.update(block)
      if (!stream.write(block)) await once(stream, 'drain')
    }
    stream.end()
    expect(await back).toBe(sent.digest('hex'))
    await once(stream, 'close')
    await until(() => relay.tunnels.streams().length === 0)
    const closed = relay.events.find(({ event }) => event === 'stream-close')
    expect(closed).toMatchObject({ actor: 'engineer', subject: 'worker' })
    expect(closed).toMatchObject({ txBytes: expect.any(Number), rxBytes: expect.any(Number) })
  }, 60_000)

  test('the visitor may end its half first', async () => {
    await serve(worker, 'late', (socket) => {
      const heard: Buffer[] = []
      socket.on('data', (chunk) => heard.push(chunk))
      socket.on('end', () => socket.end(`heard ${Buffer.concat(heard)}`))
    })
    const stream = await open(engineer, worker, 'late')
    stream.end('hello')
    expect((await read(stream)).toString()).toBe('heard hello')
  })

  test('the service may end its half first', async () => {
    const server = await serve(worker, 'early', (socket) => socket.end('bye'))
    const stream = await open(engineer, worker, 'early')
    expect((await read(stream)).toString()).toBe('bye')
    const [socket] = server.sockets
    if (socket === undefined) throw new Error('no socket')
    stream.write('still ')
    stream.end('here')
    expect((await read(socket)).toString()).toBe('still here')
    await until(() => stream.destroyed)
    expect(stream.errored).toBeNull()
  })

  test('what the service said before it closed arrives, however late it is read', async () => {
    const block = randomBytes(200_000)
    const server = await serve(worker, 'fast', (socket) => {
      socket.end(block)
      socket.resume()
    })
    const stream = await open(engineer, worker, 'fast')
    stream.end()
    await once(server.sockets[0] ?? stream, 'close')
    await until(() => relay.tunnels.streams().length === 0)
    expect((await read(stream)).equals(block)).toBe(true)
  })

  test('a reset of the service is a reset for the visitor', async () => {
    await serve(worker, 'rude', (socket) => socket.once('data', () => socket.resetAndDestroy()))
    const stream = await open(engineer, worker, 'rude')
    stream.resume()
    stream.write('x')
    const [error] = await once(stream, 'error')
    expect(error).toMatchObject({ code: 'stream-reset' })
  })

  test('a visitor that breaks off is a reset for the service', async () => {
    const server = await serve(worker, 'sink', (socket) => socket.resume())
    const stream = await open(engineer, worker, 'sink')
    await until(() => server.sockets.length === 1)
    const [socket] = server.sockets
    if (socket === undefined) throw new Error('no socket')
    const failed = once(socket, 'error')
    stream.destroy()
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
  })

  test('a reader that stops makes the writer wait, and nothing is held in memory', async () => {
    const block = Buffer.alloc(1024 * 1024)
    let written = 0
    let blocked = 0
    await serve(worker, 'hose', (socket) => {
      const pour = (): void => {
        while (written < 512) {
          written++
          if (!socket.write(block)) {
            blocked = performance.now()
            socket.once('drain', pour)
            return
          }
        }
        socket.end()
      }
      pour()
    })
    const stream = await open(engineer, worker, 'hose')
    const before = process.memoryUsage().rss
    // the pipe is full when the service has waited for half a second
    await until(() => blocked > 0 && performance.now() - blocked > 500)
    const held = written
    expect(held).toBeLessThan(64)
    expect(process.memoryUsage().rss - before).toBeLessThan(96 * 1024 * 1024)
    let got = 0
    stream.on('data', (chunk) => {
      got += chunk.length
    })
    await once(stream, 'end')
    expect(got).toBe(512 * block.length)
  }, 60_000)

  test('a hundred streams at once, each with its own bytes', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const answers = Array.from({ length: 100 }, async (_, index) => {
      const stream = await open(engineer, worker, 'echo')
      stream.end(`stream ${index}`)
      return (await read(stream)).toString()
    })
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 100 }, (_, index) => `stream ${index}`))
    await until(() => relay.tunnels.counts().streams === 0 && relay.tunnels.counts().waiting === 0)
  }, 30_000)

  test('a service is reached by its port as well', async () => {
    const server = await serve(worker, 'hello', (socket) => socket.end('hi'))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    expect((await read(await open(engineer, worker, String(port)))).toString()).toBe('hi')
  })
})

describe('the agent decides', () => {
  test('what is not exposed is refused, by name and by port', async () => {
    await expect(open(engineer, worker, 'nothing')).rejects.toMatchObject({ code: 'not-exposed', exitCode: 5 })
    await expect(open(engineer, worker, '22')).rejects.toMatchObject({ code: 'not-exposed' })
    await expect(open(engineer, worker, '53/udp')).rejects.toMatchObject({ code: 'not-exposed' })
  })

  test('what the policy forbids is refused with its rule', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    network.policy = { rules: [{ action: 'deny', from: ['peer:engineer'], to: ['*'], services: ['*'], ports: [] }] }
    await expect(open(engineer, worker, 'echo')).rejects.toMatchObject({
      code: 'policy-refused',
      message: expect.stringContaining('rule 1'),
    })
  })

  test('a service that does not answer is said so', async () => {
    const server = await serve(worker, 'dead', () => undefined)
    server.close()
    await once(server, 'close')
    await expect(open(engineer, worker, 'dead')).rejects.toMatchObject({ code: 'target-refused' })
  })

  test('a worker without a tunnel is said so', async () => {
    const offline = await startNode(network, { name: 'offline', relays: [relay], agent: false })
    await expect(open(engineer, offline, 'ssh')).rejects.toMatchObject({ code: 'no-agent', exitCode: 4 })
    await offline.tunnels.stop()
  })

  test('a revoked member loses its streams at once, and opens none', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const stream = await open(engineer, worker, 'echo')
    const failed = once(stream, 'error')
    const since = performance.now()
    network.revoke(engineer.key)
    await failed
    expect(performance.now() - since).toBeLessThan(2000)
    await until(() => worker.tunnels.streams().length === 0 && relay.tunnels.streams().length === 0)
    await expect(open(engineer, worker, 'echo')).rejects.toMatchObject({ code: 'revoked' })
  })

  test('what is unexposed is cut', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const stream = await open(engineer, worker, 'echo')
    const failed = once(stream, 'error')
    worker.services.unexpose('echo')
    await failed
    await until(() => worker.tunnels.streams().length === 0)
  })

  test('a stream can be seen and ended at each of the three', async () => {
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    for (const end of [
      () => relay.tunnels.end(relay.tunnels.streams()[0]?.id ?? ''),
      () => worker.tunnels.endStream(worker.tunnels.streams()[0]?.id ?? ''),
      () => engineer.tunnels.endStream(engineer.tunnels.streams()[0]?.id ?? ''),
    ]) {
      const stream = await open(engineer, worker, 'echo')
      const seen = [relay.tunnels.streams(), worker.tunnels.streams(), engineer.tunnels.streams()]
      expect(seen.map((list) => list.map(({ role, visitor, agent }) => [role, visitor, agent]))).toEqual([
        [['relay', 'engineer', 'worker']],
        [['agent', 'engineer', 'worker']],
        [['visitor', 'engineer', 'worker']],
      ])
      const failed = once(stream, 'error')
      end()
      await failed
      await until(() => [relay, worker, engineer].every(({ tunnels }) => tunnels.streams().length === 0))
    }
    expect(() => relay.tunnels.end('x')).toThrow('no stream')
  })
})
