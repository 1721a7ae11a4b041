import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Duplex, duplexPair } from 'node:stream'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey } from '@ropewalk/shared/identity'
import { silentLogger } from '@ropewalk/shared/logger'
import {
  type ControlMessage,
  encodeControl,
  GO,
  MAX_UNPROVEN_BYTES,
  parseRelayUrl,
  streamIdOf,
} from '@ropewalk/shared/tunnel'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAllowance } from './allowance.ts'
import { createBackoff } from './backoff.ts'
import { type Channel, createChannel } from './channel.ts'
import { createForward } from './forward.ts'
import { createPoolSize } from './pool-size.ts'
import { parsePorts } from './port-spec.ts'
import { parseWanted } from './reception.ts'
import { createServices, parseExpose } from './services.ts'
import { createStock } from './stock.ts'

const never = new AbortController().signal

describe('a channel', () => {
  function pair(heartbeat?: { idleMs: number; busyMs: number }) {
    const [a, b] = duplexPair()
    return { channel: createChannel(a, new Uint8Array(0), heartbeat), other: b }
  }

  test('gives messages in order, also those that came with the upgrade', async () => {
    const [a, b] = duplexPair()
    const nonce = new Uint8Array(32)
    const hello = { kind: 'hello' as const, version: 1, role: 'agent' as const, nonce }
    const channel = createChannel(a, encodeControl(hello))
    b.write(encodeControl({ kind: 'ping', id: 1, reply: true }))
    expect(await channel.next('hello', never)).toEqual(hello)
    await expect(channel.next('prove', never)).rejects.toMatchObject({ code: 'protocol-error' })
  })

  test('a refusal is the error that it names, during the handshake and after it', async () => {
    const refusal = encodeControl({ kind: 'refuse', code: 'revoked', message: 'no more' })
    const early = pair()
    early.other.write(refusal)
    await expect(early.channel.next('welcome', never)).rejects.toMatchObject({ code: 'revoked', message: 'no more' })
    const late = pair()
    late.channel.listen({ message: () => undefined })
    late.other.write(refusal)
    expect(await late.channel.closed).toMatchObject({ code: 'revoked' })
  })

  test('a limit on waiting holds, and an end of the connection ends the wait', async () => {
    const { channel, other } = pair()
    await expect(channel.next('hello', AbortSignal.timeout(5))).rejects.toMatchObject({ code: 'timeout' })
    const waiting = channel.next('hello', never)
    other.end()
    await expect(waiting).rejects.toMatchObject({ code: 'stream-reset' })
  })

  test('too many and too large messages before the proof end it', async () => {
    const flood = pair()
    for (let id = 0; id < 20; id++) flood.other.write(encodeControl({ kind: 'ping', id, reply: false }))
    expect(await flood.channel.closed).toMatchObject({ code: 'protocol-error' })
    const large = pair()
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(MAX_UNPROVEN_BYTES + 1)
    large.other.write(prefix)
    expect(await large.channel.closed).toMatchObject({ code: 'protocol-error' })
  })

  test('a silent other end is given up, a living one is not', async () => {
    const heartbeat = { idleMs: 30, busyMs: 15 }
    const { channel, other } = pair(heartbeat)
    channel.listen({ message: () => undefined })
    other.resume()
    expect(await channel.closed).toMatchObject({ code: 'timeout' })
    const [a, b] = duplexPair()
    const [one, two] = [createChannel(a, new Uint8Array(0), heartbeat), createChannel(b, new Uint8Array(0), heartbeat)]
    for (const end of [one, two]) end.listen({ message: () => undefined })
    const gone = await Promise.race([one.closed, new Promise((resolve) => setTimeout(resolve, 300))])
    expect(gone).toBeUndefined()
    expect(one.rttMs).toBeGreaterThanOrEqual(0)
    one.close(new RopewalkError('aborted'))
    await two.closed
  })
})

describe('the stock', () => {
  test('keeps between 1 and 64 ready, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3000), fc.boolean())), (arrivals) => {
        const size = createPoolSize()
        let now = 0
        for (const [wait, starved] of arrivals) {
          now += wait
          size.arrived(now, starved)
          const wanted = size.wanted(now)
          expect(wanted).toBeGreaterThanOrEqual(1)
          expect(wanted).toBeLessThanOrEqual(64)
        }
        // and it comes back to one when nothing arrives
        for (let count = 0; count < 8; count++) {
          now += 10_000
          size.wanted(now)
        }
        expect(size.wanted(now)).toBe(1)
      }),
    )
  })

  test('doubles when starved and follows the rate', () => {
    const size = createPoolSize()
    for (let count = 0; count < 3; count++) size.arrived(count, true)
    expect(size.wanted(3)).toBe(8)
    for (let count = 0; count < 200; count++) size.arrived(1000 + count * 5, false)
    expect(size.wanted(2000)).toBeGreaterThanOrEqual(49)
  })
})

describe('an agent with a hostile relay', () => {
  async function stockOf(maxStreams: number, onHello: (socket: Socket) => void) {
    const sockets = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('data', () => onHello(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const sent: ControlMessage[] = []
    const received: Socket[] = []
    let numbers = 0
    const stopped = new AbortController()
    const link = {
      relay: parseRelayUrl(`https://127.0.0.1:${port}/`, generateSigningKey().nodeId),
      channel: { send: (message: ControlMessage) => sent.push(message) } as unknown as Channel,
      dataKey: new Uint8Array(32),
      maxStreams: 100_000,
      nextStream: () => streamIdOf(new Uint8Array(8), numbers++),
    }
    const receive = async (socket: Socket): Promise<void> => void received.push(socket)
    const logger = silentLogger
    const stock = createStock(link, { reception: { receive }, logger, stopped: stopped.signal, maxStreams })
    const call = () => stock.told({ kind: 'open', stream: streamIdOf(new Uint8Array(8), 2 ** 32 + numbers++) })
    const stop = () => {
      stopped.abort(new RopewalkError('aborted'))
      stock.close()
      server.close()
      for (const socket of [...sockets, ...received]) socket.destroy()
    }
    return { stock, call, sent, sockets, received, stop }
  }

  test('dials so often and no more when it is called and called', async () => {
    const { call, sent, sockets, stop } = await stockOf(1000, () => undefined)
    for (let count = 0; count < 5000; count++) call()
    expect(sent.filter(({ kind }) => kind === 'reset').length).toBe(5000 - 256)
    await expect.poll(() => sockets.size).toBeGreaterThanOrEqual(256)
    expect(sockets.size).toBeLessThanOrEqual(256 + 64)
    stop()
  })

  test('gives it no more streams than it said, however many it starts', async () => {
    const { stock, call, received, stop } = await stockOf(20, (socket) => socket.write(Uint8Array.of(GO)))
    for (let round = 0; round < 20; round++) {
      for (let count = 0; count < 50; count++) call()
      stock.fill()
      await new Promise(setImmediate)
    }
    await expect.poll(() => received.length).toBe(20)
    await new Promise((resolve) => setTimeout(resolve, 100)) // for one too many to show
    received[0]?.destroy()
    await expect.poll(() => received[0]?.closed).toBe(true)
    stock.fill()
    await expect.poll(() => received.length, { timeout: 5000 }).toBe(21)
    stop()
  })

  test('counts places by member and all together, each given back once', () => {
    const allowance = createAllowance({ total: 3, perMember: 2 })
    const [a, b] = [generateSigningKey().nodeId, generateSigningKey().nodeId]
    const [one, two, three] = [allowance.take(), allowance.take(), allowance.take()]
    expect(allowance.take()).toBeUndefined()
    one?.claim(a)
    two?.claim(a)
    expect(() => three?.claim(a)).toThrow(expect.objectContaining({ code: 'limit-reached' }))
    three?.claim(b)
    one?.free()
    one?.free()
    expect(allowance.taken).toBe(2)
    expect(() => allowance.take()?.claim(a)).not.toThrow()
  })
})

describe('the backoff', () => {
  test('begins at once, keeps close for a while, then doubles up to its end, and begins anew', () => {
    let now = 0
    let random = 1
    const options = { firstMs: 100, maxMs: 1000, eagerForMs: 250, random: () => random, nowMs: () => now }
    const backoff = createBackoff(options)
    const waits = (count: number) =>
      Array.from({ length: count }, () => {
        const wait = backoff.next()
        now += wait
        return wait
      })
    expect(waits(8)).toEqual([0, 100, 100, 100, 200, 400, 800, 1000])
    backoff.reset()
    random = 0
    expect(waits(4)).toEqual([0, 50, 50, 50])
  })
})

describe('ports of a forward', () => {
  test('are single, mapped, named, and ranges', () => {
    expect(parsePorts(['8888', '9000:8889', '9001:jupyter', '6006-6008', '7000-7001:80-81'])).toEqual([
      { localPort: 8888, service: '8888' },
      { localPort: 9000, service: '8889' },
      { localPort: 9001, service: 'jupyter' },
      { localPort: 6006, service: '6006' },
      { localPort: 6007, service: '6007' },
      { localPort: 6008, service: '6008' },
      { localPort: 7000, service: '80' },
      { localPort: 7001, service: '81' },
    ])
  })

  test('that make no sense are refused with a next step; UDP is said to come later', () => {
    for (const bad of [
      [],
      ['0'],
      ['65536'],
      ['9-8'],
      ['a'],
      ['1:2:3'],
      ['1-2:3'],
      ['1-2:web'],
      ['80', '80'],
      ['1-60000'],
      ['-1'],
      ['1:'],
    ]) {
      expect(() => parsePorts(bad)).toThrow(RopewalkError)
    }
    expect(() => parsePorts(['53/udp'])).toThrow('UDP')
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parsePorts([text])
        } catch (error) {
          expect(isRopewalkError(error)).toBe(true)
        }
      }),
    )
  })
})

describe('exposed services', () => {
  test('are named with a port, or well known', () => {
    expect(parseExpose('ssh')).toEqual({ name: 'ssh', port: 22, protocol: 'tcp', http: false })
    expect(parseExpose('jupyter=8888', { http: true })).toEqual({
      name: 'jupyter',
      port: 8888,
      protocol: 'tcp',
      http: true,
    })
    expect(parseExpose('dns=53', { udp: true }).protocol).toBe('udp')
    for (const bad of ['', 'jupyter', 'a=0', 'a=70000', 'a=1=2', 'A=1', '1=2', 'a=b', 'a=10.0.0.1:22']) {
      expect(() => parseExpose(bad)).toThrow(RopewalkError)
    }
  })

  test('do not share a port, tell of changes, and are forgotten', () => {
    const services = createServices([parseExpose('ssh')])
    let changes = 0
    const stop = services.onChange(() => changes++)
    services.expose(parseExpose('web=80'))
    expect(() => services.expose(parseExpose('other=80'))).toThrow('exposed as web')
    services.expose(parseExpose('web=81'))
    services.unexpose('ssh')
    expect(() => services.unexpose('ssh')).toThrow('Nothing')
    expect(services.list()).toEqual([parseExpose('web=81')])
    stop()
    services.unexpose('web')
    expect(changes).toBe(3)
  })

  test('are asked for by name or by port', () => {
    expect(parseWanted('jupyter')).toEqual({ service: 'jupyter' })
    expect(parseWanted('8888')).toEqual({ protocol: 'tcp', port: 8888 })
    expect(parseWanted('53/udp')).toEqual({ protocol: 'udp', port: 53 })
  })
})

describe('a forward', () => {
  async function echo(): Promise<{ port: number; close(): void }> {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { port: (server.address() as AddressInfo).port, close: () => server.close() }
  }

  test('leads each connection to a stream of its own and passes the end', async () => {
    const target = await echo()
    const asked: string[] = []
    const forward = createForward(
      { mappings: [{ localPort: 0, service: 'echo' }] },
      {
        logger: silentLogger,
        open: async (service) => {
          asked.push(service)
          return connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true })
        },
      },
    )
    await forward.start()
    const socket = connect({ port: forward.local[0]?.port ?? 0, host: '127.0.0.1', allowHalfOpen: true })
    socket.end('hello')
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toBe('hello')
    await once(socket, 'end')
    expect(asked).toEqual(['echo'])
    await forward.stop()
    target.close()
  })

  test('a refusal resets the local connection and is told', async () => {
    const refused: string[] = []
    const forward = createForward(
      { mappings: [{ localPort: 0, service: 'x' }] },
      {
        logger: silentLogger,
        open: () => Promise.reject(new RopewalkError('not-exposed')),
        onRefused: (service, { code }) => refused.push(`${service}: ${code}`),
      },
    )
    await forward.start()
    const socket = connect(forward.local[0]?.port ?? 0, '127.0.0.1')
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'ECONNRESET' })
    expect(refused).toEqual(['x: not-exposed'])
    await forward.stop()
  })

  test('a port that is taken is said, and the others are closed again', async () => {
    const taken = await echo()
    const mappings = [
      { localPort: 0, service: 'a' },
      { localPort: taken.port, service: 'b' },
    ]
    const forward = createForward({ mappings }, { logger: silentLogger, open: async () => new Duplex() })
    await expect(forward.start()).rejects.toMatchObject({
      code: 'address-in-use',
      message: expect.stringContaining(String(taken.port)),
    })
    const socket = connect(forward.local[0]?.port ?? 0, '127.0.0.1')
    await once(socket, 'error')
    taken.close()
  })
})
