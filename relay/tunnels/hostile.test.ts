import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { innerCertificate, selfSignedWeb } from '@ropewalk/peer/tunnels'
import { generateSigningKey, type SigningKey } from '@ropewalk/shared/identity'
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
import type { Joiner } from './index.ts'
import {
  bundleOf,
  knock,
  Network,
  open,
  type RelaySettings,
  read,
  serve,
  startNode,
  startRelay,
  startWorld,
  until,
  type World,
} from './tunnel-world.ts'

let network: Network
const running: { stop(): Promise<void> }[] = []

beforeEach(() => {
  network = new Network()
})

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

const world = (settings: RelaySettings = {}): Promise<World> => startWorld(network, running, settings)

/** A joiner that does what an attacker at the relay would, on the two raw connections of a pair. */
function attacking(attack: (visitor: Socket, agent: Socket) => void): Joiner {
  return ({ a, b, greeting, closed }) => {
    let open = 2
    for (const socket of [a, b]) socket.write(greeting)
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

/** What a member has, in the hands of an attacker. */
async function memberContext(key: SigningKey): Promise<SecureContext> {
  const { certificate } = await innerCertificate(key)
  return createSecureContext({
    cert: new X509Certificate(certificate).toString(),
    key: key.keyObject.export({ format: 'pem', type: 'pkcs8' }),
  })
}

describe('a relay under an attacker’s hand', () => {
  test('cannot stand in for the worker, with a certificate or with a member’s key', async () => {
    const insider = generateSigningKey()
    network.add('insider', insider)
    for (const context of [await attackersContext(), await memberContext(insider)]) {
      const heard: Buffer[] = []
      const joiner = attacking((visitor) => {
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
      const { worker, engineer } = await world({ joiner })
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
    const context = await memberContext(stranger)
    let shown: Uint8Array = new Uint8Array(0)
    const joiner = attacking((visitor, agent) => {
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
    const { worker, engineer } = await world({ joiner })
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
    const joiner = attacking((visitor, agent) => {
      const tls = connectTls({ socket: agent, rejectUnauthorized: false, ...how })
      tls.on('error', () => undefined)
      tls.on('data', (chunk) => spoken.push(chunk))
      tls.on('close', () => visitor.destroy())
      tls.write(encodeStreamMessage({ kind: 'request', version: 1, service: 'echo', bundle }))
    })
    const { worker, engineer } = await world({ joiner })
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
    const joiner = attacking((visitor, agent) => {
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
    const { worker, engineer } = await world({ joiner })
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
    const joiner = attacking((visitor, agent) => {
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
    const { worker, engineer } = await world({ joiner })
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
