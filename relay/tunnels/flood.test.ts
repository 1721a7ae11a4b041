import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { heldBytes } from '@ropewalk/shared/hostile'
import { encodeHello, HELLO_BYTES, streamIdOf, TUNNEL_PATH, TUNNEL_UPGRADE } from '@ropewalk/shared/tunnel'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  knock,
  Network,
  type Node,
  open,
  type Relay,
  type RelaySettings,
  read,
  serve,
  startWorld,
  until,
  type World,
} from './tunnel-world.ts'

let network: Network
const running: { stop(): Promise<void> }[] = []
const world = (settings: RelaySettings = {}): Promise<World> => startWorld(network, running, settings)

beforeEach(() => {
  network = new Network()
})

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
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
    const before = held()
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
    const after = held()
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
function held(): { heapMb: number; descriptors: number } {
  return { heapMb: Math.round(heldBytes() / 2 ** 20), descriptors: readdirSync('/proc/self/fd').length }
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
