import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { innerContext, selfSignedWeb } from '@ropewalk/peer/tunnels'
import { generateSigningKey } from '@ropewalk/shared/identity'
import {
  encodeHello,
  encodeStreamMessage,
  HELLO_BYTES,
  STREAM_ALPN,
  streamDecoder,
  streamIdOf,
  TUNNEL_PATH,
  TUNNEL_UPGRADE,
} from '@ropewalk/shared/tunnel'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Splicer } from './index.ts'
import {
  bundleOf,
  knock,
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
const running: { stop(): Promise<void> }[] = []

beforeEach(() => {
  network = new Network()
})

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

interface World {
  readonly relay: Relay
  readonly worker: Node
  readonly engineer: Node
}

async function world(settings: Parameters<typeof startRelay>[1] = {}): Promise<World> {
  const relay = await startRelay(network, settings)
  running.push(relay)
  const worker = await startNode(network, { name: 'worker', relays: [relay], agent: true })
  running.push(worker.tunnels)
  const engineer = await startNode(network, { name: 'engineer', relays: [relay], agent: false })
  running.push(engineer.tunnels)
  return { relay, worker, engineer }
}

/** A splicer that does what an attacker at the relay would, on the two raw connections of a pair. */
function attacking(attack: (visitor: Socket, agent: Socket) => void): Splicer {
  return (a, b, closed) => {
    let open = 2
    for (const socket of [a, b]) {
      socket.on('error', () => undefined)
      socket.once('close', () => --open === 0 && closed({ forth: 0, back: 0 }))
    }
    attack(a, b)
    return { bytes: { forth: 0, back: 0 }, cut: () => [a, b].forEach((socket) => void socket.destroy()) }
  }
}

async function attackersContext(): Promise<SecureContext> {
  return createSecureContext(await selfSignedWeb('attacker'))
}

describe('a relay under an attacker’s hand', () => {
  test('cannot stand in for the worker, with a certificate or with a member’s key', async () => {
    const insider = generateSigningKey()
    network.add('insider', insider)
    for (const context of [await attackersContext(), await innerContext(insider)]) {
      const heard: Buffer[] = []
      const splicer = attacking((visitor) => {
        const tls = new TLSSocket(visitor, {
          isServer: true,
          secureContext: context,
          requestCert: true,
          rejectUnauthorized: false,
          ALPNProtocols: [STREAM_ALPN],
        })
        tls.on('error', () => undefined)
        tls.on('data', (chunk) => heard.push(chunk))
      })
      const { worker, engineer } = await world({ splicer })
      await serve(worker, 'echo', (socket) => socket.pipe(socket))
      await expect(open(engineer, worker, 'echo')).rejects.toMatchObject({ exitCode: 5 })
      // not one byte of the request was said to it
      expect(Buffer.concat(heard)).toHaveLength(0)
      for (const one of running.splice(0).reverse()) await one.stop()
    }
  })

  test('cannot open a stream in a member’s name, whatever bundle it shows', async () => {
    const stranger = generateSigningKey()
    const answers: unknown[] = []
    const context = await innerContext(stranger)
    let shown: Uint8Array = new Uint8Array(0)
    const splicer = attacking((visitor, agent) => {
      const tls = connectTls({
        socket: agent,
        secureContext: context,
        rejectUnauthorized: false,
        ALPNProtocols: [STREAM_ALPN],
      })
      tls.on('error', () => undefined)
      const decoder = streamDecoder()
      tls.on('data', (chunk) => answers.push(...decoder.push(chunk)))
      tls.on('end', () => tls.end())
      tls.on('close', () => visitor.destroy())
      tls.write(encodeStreamMessage({ kind: 'request', version: 1, service: 'echo', bundle: shown }))
    })
    const { worker, engineer } = await world({ splicer })
    const server = await serve(worker, 'echo', (socket) => socket.pipe(socket))
    for (const bundle of [bundleOf(engineer.key), bundleOf(worker.key), bundleOf(stranger), new Uint8Array(9)]) {
      shown = bundle
      await expect(open(engineer, worker, 'echo')).rejects.toMatchObject({ code: expect.any(String) })
    }
    await until(() => answers.length === 4)
    expect(answers).toMatchObject([
      { kind: 'refused', code: 'wrong-key' },
      { kind: 'refused', code: 'wrong-key' },
      { kind: 'refused', code: 'not-admitted' },
      { kind: 'refused' },
    ])
    expect(server.sockets).toHaveLength(0)
  })

  test('cannot reach an agent without a certificate or without the protocol’s name', async () => {
    const spoken: Buffer[] = []
    let how: object = {}
    let bundle: Uint8Array = new Uint8Array(0)
    const splicer = attacking((visitor, agent) => {
      const tls = connectTls({ socket: agent, rejectUnauthorized: false, ...how })
      tls.on('error', () => undefined)
      tls.on('data', (chunk) => spoken.push(chunk))
      tls.on('close', () => visitor.destroy())
      tls.write(encodeStreamMessage({ kind: 'request', version: 1, service: 'echo', bundle }))
    })
    const { worker, engineer } = await world({ splicer })
    bundle = bundleOf(engineer.key)
    const server = await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const other = await attackersContext()
    for (const way of [
      { ALPNProtocols: [STREAM_ALPN] },
      { ALPNProtocols: ['h2'] },
      {},
      { secureContext: other, ALPNProtocols: [STREAM_ALPN] },
      { maxVersion: 'TLSv1.2' },
    ]) {
      how = way
      await expect(open(engineer, worker, 'echo')).rejects.toMatchObject({ code: expect.any(String) })
    }
    expect(Buffer.concat(spoken)).toHaveLength(0)
    expect(server.sockets).toHaveLength(0)
  })

  test('cannot cut a stream short and have it taken for whole', async () => {
    const splicer = attacking((visitor, agent) => {
      let passed = 0
      visitor.pipe(agent)
      agent.on('data', (chunk) => {
        passed += chunk.length
        visitor.write(chunk)
        // a plain FIN in the middle, as if the worker had ended
        if (passed > 500_000) {
          agent.removeAllListeners('data')
          visitor.end()
        }
      })
    })
    const { worker, engineer } = await world({ splicer })
    await serve(worker, 'file', (socket) => {
      socket.write(randomBytes(400_000))
      socket.write(randomBytes(400_000))
    })
    const stream = await open(engineer, worker, 'file')
    let ended = false
    stream.on('end', () => {
      ended = true
    })
    stream.resume()
    const [error] = await once(stream, 'error')
    expect(error).toMatchObject({ code: 'stream-reset' })
    expect(ended).toBe(false)
  })

  test('cannot change a byte, nor read one', async () => {
    const seen: Buffer[] = []
    const splicer = attacking((visitor, agent) => {
      visitor.on('data', (chunk) => {
        seen.push(chunk)
        agent.write(chunk)
      })
      agent.on('data', (chunk: Buffer) => {
        seen.push(Buffer.from(chunk))
        if (chunk.length > 20_000) chunk[15_000] = (chunk[15_000] ?? 0) ^ 1
        visitor.write(chunk)
      })
    })
    const { worker, engineer } = await world({ splicer })
    const canary = 'the canary sings in the tunnel'
    await serve(worker, 'file', (socket) => {
      socket.once('data', () => {
        socket.write(canary.repeat(2000))
      })
    })
    const stream = await open(engineer, worker, 'file')
    stream.write(canary)
    stream.resume()
    await once(stream, 'error')
    expect(Buffer.concat(seen).includes(canary.slice(0, 12))).toBe(false)
    expect(Buffer.concat(seen).includes('file')).toBe(false)
  })

  test('that proves another key than its URL names learns nothing and gets nobody', async () => {
    const relay = await startRelay(network, { key: generateSigningKey() })
    running.push(relay)
    const claimed = generateSigningKey()
    network.add('claimed', claimed)
    const address = { ...relay.address, nodeId: claimed.nodeId }
    const impostor = { ...relay, address }
    const node = await startNode(network, { name: 'node', relays: [impostor], agent: false })
    running.push(node.tunnels)
    const other = await startNode(network, { name: 'other', relays: [], agent: false })
    running.push(other.tunnels)
    await expect(open(node, other, 'ssh')).rejects.toMatchObject({ code: 'wrong-key', exitCode: 5 })
    await until(() => relay.events.length === 1)
    expect(relay.events).toMatchObject([{ event: 'refused', what: 'control' }])
    expect(relay.tunnels.counts()).toMatchObject({ agents: 0, visitors: 0 })
  })
})

describe('a stranger at the relay’s door', () => {
  test('gets no control stream, and the log says why', async () => {
    const { relay } = await world()
    const stranger = await startNode(network, { name: 'stranger', relays: [relay], agent: false, belongs: false })
    running.push(stranger.tunnels)
    const other = await startNode(network, { name: 'other', relays: [], agent: false })
    running.push(other.tunnels)
    await expect(open(stranger, other, 'ssh')).rejects.toMatchObject({ code: 'not-admitted' })
    expect(relay.events).toContainEqual(
      expect.objectContaining({ event: 'refused', what: 'control', code: 'not-admitted' }),
    )
  })

  test('gets no data connection with a hello of its own making', async () => {
    const { relay } = await world()
    const made = encodeHello({ kind: 'visit', stream: streamIdOf(randomBytes(8), 0) }, randomBytes(32))
    const socket = await knock(relay, made)
    expect(await read(socket)).toEqual(Buffer.from([0, 2]))
    expect(relay.events.at(-1)).toMatchObject({ event: 'refused', what: 'data', code: 'proof-failed' })
  })

  test('gets none with a hello copied from the wire, during its stream or after it', async () => {
    const hellos: Buffer[] = []
    const { relay, worker } = await world()
    const wire = createServer({ allowHalfOpen: true }, (socket) => {
      const on = connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true })
      for (const one of [socket, on]) one.on('error', () => undefined)
      socket.once('data', (chunk) => hellos.push(Buffer.from(chunk.subarray(0, HELLO_BYTES))))
      socket.pipe(on)
      on.pipe(socket)
    })
    wire.listen(0, '127.0.0.1')
    await once(wire, 'listening')
    const { port } = wire.address() as AddressInfo
    const tapped = { ...relay, address: { ...relay.address, port } }
    const visitor = await startNode(network, { name: 'visitor', relays: [tapped], agent: false })
    running.push(visitor.tunnels)
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const stream = await open(visitor, worker, 'echo')
    const hello = hellos.find((bytes) => bytes.subarray(0, 4).toString() === 'RWT1')
    expect(hello).toBeDefined()
    expect(await read(await knock(relay, hello))).toEqual(Buffer.from([0, 2]))
    stream.end('x')
    expect((await read(stream)).toString()).toBe('x')
    expect(await read(await knock(relay, hello))).toEqual(Buffer.from([0, 2]))
    wire.close()
  })

  test('is refused at the upgrade for a wrong method, path, version or host trick', async () => {
    const { relay } = await world()
    const requests = [
      ['POST', TUNNEL_PATH, TUNNEL_UPGRADE, 405],
      ['GET', TUNNEL_PATH, 'websocket', 426],
      ['GET', `http://evil${TUNNEL_PATH}`, TUNNEL_UPGRADE, 0],
      ['GET', '/other', TUNNEL_UPGRADE, 0],
    ] as const
    for (const [method, path, token, status] of requests) {
      const raw = await knock(relay)
      const tls = connectTls({ socket: raw, rejectUnauthorized: false })
      tls.on('error', () => undefined)
      tls.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`)
      const answer = (await read(tls)).toString()
      expect(answer.slice(9, 12)).toBe(status === 0 ? '' : String(status))
    }
  })
})

describe('noise at the door', () => {
  test('connections that stall hold nobody up, and go', async () => {
    const { relay, worker, engineer } = await world({ timeoutMs: 1000 })
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const half = encodeHello({ kind: 'visit', stream: streamIdOf(randomBytes(8), 0) }, randomBytes(32)).subarray(0, 40)
    const stalls = [undefined, Buffer.from('RW'), half, Buffer.from([22, 3, 1, 2, 0, 1])]
    const stalled = await Promise.all(
      Array.from({ length: 200 }, (_, index) => knock(relay, stalls[index % stalls.length])),
    )
    const since = performance.now()
    expect((await read(await opened(engineer, worker))).toString()).toBe('x')
    expect(performance.now() - since).toBeLessThan(2000)
    for (const socket of stalled) socket.resume()
    const ofTls = (socket: Socket, index: number): boolean => index % stalls.length === 3 || socket.destroyed
    await until(() => stalled.every((socket, index) => socket.readableEnded || ofTls(socket, index)))
    for (const socket of stalled) socket.destroy()
  }, 20_000)

  test('one source cannot take every slot', async () => {
    const { relay } = await world({ perSource: 20 })
    const sockets = await Promise.all(Array.from({ length: 40 }, () => knock(relay)))
    for (const socket of sockets) socket.resume()
    await until(() => sockets.filter((socket) => socket.readableEnded || socket.destroyed).length >= 20)
    expect(sockets.filter((socket) => !socket.readableEnded && !socket.destroyed).length).toBeLessThanOrEqual(20)
    for (const socket of sockets) socket.destroy()
  })

  test('twenty thousand malformed hellos and control messages leave a live stream alone, and nothing grows', async () => {
    const { relay, worker, engineer } = await world()
    await serve(worker, 'echo', (socket) => socket.pipe(socket))
    const live = await open(engineer, worker, 'echo')
    const flow = keepTalking(live)
    await volleys(relay, 4_000)
    const before = await held()
    relay.events.length = 0
    await volleys(relay, 16_000)
    for (let round = 0; round < 500; round++) await upgradeWithNoise(relay, round % 200)
    expect(relay.events.filter(({ event }) => event === 'refused').length).toBeGreaterThan(5_000)
    relay.events.length = 0
    const rounds = await flow.stop()
    expect(rounds).toBeGreaterThan(50)
    live.destroy()
    expect((await read(await opened(engineer, worker))).toString()).toBe('x')
    await until(() => relay.tunnels.counts().waiting === 0)
    const after = await held()
    console.log(`20,000 inputs beside ${rounds} rounds of a live stream: heap ${before.heapMb} → ${after.heapMb} MB`)
    expect(after.heapMb - before.heapMb).toBeLessThan(16)
    expect(after.descriptors - before.descriptors).toBeLessThan(20)
  }, 180_000)
})

/** 64 KiB there and back a hundred times a second at most; every byte is looked at. */
function keepTalking(stream: Awaited<ReturnType<typeof open>>): { stop(): Promise<number> } {
  let talking = true
  const talk = async (): Promise<number> => {
    for (let rounds = 0; ; rounds++) {
      if (!talking) return rounds
      const sent = randomBytes(64 * 1024)
      const heard: Buffer[] = []
      let length = 0
      const back = new Promise<void>((resolve, reject) => {
        const take = (chunk: Buffer): void => {
          heard.push(chunk)
          length += chunk.length
          if (length < sent.length) return
          stream.off('data', take)
          resolve()
        }
        stream.on('data', take)
        stream.once('error', reject)
      })
      stream.write(sent)
      await back
      stream.removeAllListeners('error')
      if (!Buffer.concat(heard).equals(sent)) throw new Error('the live stream was changed')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const running = talk()
  return {
    stop() {
      talking = false
      return running
    },
  }
}

async function volleys(relay: Relay, count: number): Promise<void> {
  for (let done = 0; done < count; done += 100) {
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = await knock(relay, noiseOf(done + index))
        socket.resume()
        socket.end()
        if (!socket.destroyed) await once(socket, 'close')
      }),
    )
  }
}

/** Nothing like a hello, almost one, one that nobody signed, TLS that is none, HTTP without TLS. */
function noiseOf(index: number): Buffer {
  const noise = randomBytes(1 + (index % 200))
  switch (index % 5) {
    case 0:
      return Buffer.concat([Buffer.from('RWT1'), noise, randomBytes(HELLO_BYTES)])
    case 1:
      return Buffer.from(encodeHello({ kind: 'called', stream: streamIdOf(randomBytes(8), index) }, randomBytes(32)))
    case 2:
      return Buffer.concat([Buffer.from([22, 3, 1, 0, noise.length]), noise])
    case 3:
      return Buffer.concat([Buffer.from('GET /tunnel HTTP/1.1\r\n'), noise])
    default:
      return noise
  }
}

/** What this process holds on to when everything that can go has gone. */
async function held(): Promise<{ heapMb: number; descriptors: number }> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 3; round++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const heapMb = Math.round(process.memoryUsage().heapUsed / 2 ** 20)
  return { heapMb, descriptors: readdirSync('/proc/self/fd').length }
}

async function opened(engineer: Node, worker: Node): Promise<Awaited<ReturnType<typeof open>>> {
  const stream = await open(engineer, worker, 'echo')
  stream.end('x')
  return stream
}

async function upgradeWithNoise(relay: Relay, round: number): Promise<void> {
  const raw = await knock(relay)
  const tls = connectTls({ socket: raw, rejectUnauthorized: false })
  tls.on('error', () => undefined)
  tls.write(`GET ${TUNNEL_PATH} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${TUNNEL_UPGRADE}\r\n\r\n`)
  await once(tls, 'data')
  const body = randomBytes(round)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(round % 3 === 0 ? 0xffff_ffff : body.length)
  tls.write(Buffer.concat([length, body]))
  tls.resume()
  if (!tls.readableEnded) await once(tls, 'end')
  tls.destroy()
}
