import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { generatePrivateKey, publicKeyOf } from '../index.ts'
import { type Backend, codeOf, type Member, pair } from './mesh.ts'

const MEGABYTE = randomBytes(1 << 20)
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe.each<Backend>(['namespace', 'netstack'])('two rootless devices (%s)', { timeout: 30_000 }, (backend) => {
  let members: [Member, Member] | undefined

  beforeAll(async () => {
    members = await pair(backend)
  }, 30_000)

  afterAll(async () => {
    await Promise.all((members ?? []).map(({ device }) => device.close()))
  }, 30_000)

  /** A test that needs the pair; skipped, and counted as skipped, where there is none. */
  const meshTest = (name: string, run: (a: Member, b: Member) => Promise<void>) =>
    test(name, async ({ skip }) => {
      if (members === undefined) return skip('user namespaces are forbidden here')
      await run(...members)
    })

  meshTest('answer each other’s ping by both families', async (a, b) => {
    expect(a.device.backend).toBe(backend)
    for (const address of [b.v4, b.v6]) {
      const rttMs = await a.device.ping(address)
      expect(rttMs).toBeGreaterThan(0)
      expect(rttMs).toBeLessThan(2_000)
    }
  })

  meshTest('tell of the handshake and of the path in use, and count', async (a, b) => {
    await a.device.ping(b.v4)
    await a.until(({ type }) => type === 'handshake')
    const active = await a.until(({ type }) => type === 'path-active')
    expect(active).toMatchObject({ path: 1 })
    const { peers, publicKey, addresses } = a.device.status()
    expect(publicKey).toEqual(a.publicKey)
    expect(addresses).toEqual([`${a.v4}/24`, `${a.v6}/64`])
    const [peer] = peers
    expect(peer?.publicKey).toEqual(b.publicKey)
    expect(peer?.lastHandshakeMs).toBeGreaterThanOrEqual(0)
    expect(peer?.rxBytes).toBeGreaterThan(0)
    expect(peer?.paths[0]).toMatchObject({ id: 1, remote: b.endpoint, relayed: false, active: true })
    expect(a.device.counters[0]).toBe(1n)
    const block = a.device.counters.subarray(peer?.counters, (peer?.counters ?? 0) + 8)
    expect(block.some((count) => count > 0n)).toBe(true)
  })

  meshTest('count the bytes of each path, the same at both ends', async (a, b) => {
    const path = ({ device }: Member) => device.status().peers[0]?.paths[0]
    const before = path(a)?.txBytes ?? 0
    const arrived = Promise.withResolvers<number>()
    await using listener = await b.device.listen({ port: 0 }, async (socket) => {
      arrived.resolve((await all(socket)).length)
      socket.end()
    })
    const socket = await a.device.dial({ address: b.v4, port: listener.port })
    socket.end(MEGABYTE)
    await once(socket.resume(), 'close')
    expect(await arrived.promise).toBe(MEGABYTE.length)
    // the last acknowledgements may still be on their way: both ends, and the shared buffer of each, come to say the same
    const carried = (from: Member, to: Member) => {
      const { counters = 0, rxBytes, txBytes } = path(from) ?? {}
      const [rx, tx] = from.device.counters.subarray(counters, counters + 2)
      return { sent: txBytes, received: path(to)?.rxBytes, shared: Number(tx), back: [rxBytes, Number(rx)] }
    }
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      await vi.waitFor(() => {
        const { sent, received, shared, back } = carried(from, to)
        expect([received, shared]).toEqual([sent, sent])
        expect(back[0]).toBe(back[1])
      }, 5_000)
    }
    const sent = (path(a)?.txBytes ?? 0) - before
    // each full packet has headers of IP, TCP, WireGuard and its tag
    expect(sent).toBeGreaterThan(MEGABYTE.length * 1.04)
    expect(sent).toBeLessThan(MEGABYTE.length * 1.25)
    expect(path(a)?.rxBytes).toBeLessThan(sent)
  })

  meshTest('carry a megabyte each way, and half-close exactly', async (a, b) => {
    const arrived = Promise.withResolvers<{ socket: Socket; digest: string }>()
    const listener = await b.device.listen({ port: 0 }, async (socket) => {
      const received = await all(socket)
      socket.end(received) // our side is still open: the dialler has only ended its own
      arrived.resolve({ socket, digest: digest(received) })
    })
    expect(listener.addresses).toHaveLength(2)
    const socket = await a.device.dial({ address: b.v4, port: listener.port })
    expect(socket.remoteAddress).toBe(b.v4)
    socket.end(MEGABYTE)
    const back = await all(socket)
    const seen = await arrived.promise
    expect(seen.digest).toBe(digest(MEGABYTE))
    expect(digest(back)).toBe(digest(MEGABYTE))
    expect(seen.socket.remoteAddress).toBe(a.v4)
    await listener.close()
  })

  meshTest('speak IPv6 as well', async (a, b) => {
    const listener = await b.device.listen({ address: b.v6, port: 7_777 }, (socket) => socket.end('six'))
    const socket = await a.device.dial({ address: b.v6, port: 7_777 })
    expect(String(await all(socket))).toBe('six')
    await listener.close()
  })

  meshTest('pass on a reset as ECONNRESET', async (a, b) => {
    const accepted = Promise.withResolvers<Socket>()
    const listener = await b.device.listen({ address: b.v4, port: 7_778 }, accepted.resolve)
    const socket = await a.device.dial({ address: b.v4, port: 7_778 })
    const failed = once(socket, 'error')
    socket.resume()
    socket.write('hello')
    const far = await accepted.promise
    await once(far, 'readable')
    far.resetAndDestroy()
    const [error] = await failed
    expect(error).toMatchObject({ code: 'ECONNRESET' })
    expect(socket.destroyed).toBe(true)
    await listener.close()
  })

  meshTest('exchange datagrams', async (a, b) => {
    const server = await b.device.listenUdp({ address: b.v4, port: 5_353 })
    server.on('message', (bytes, from) => server.send(Buffer.concat([bytes, Buffer.from('!')]), from))
    const client = await a.device.dialUdp({ address: b.v4, port: 5_353 })
    const answer = once(client, 'message')
    client.send(Buffer.from('hello'))
    const [bytes, from] = await answer
    expect(String(Buffer.from(bytes))).toBe('hello!')
    expect(from).toEqual({ address: b.v4, port: 5_353 })
    client.close()
    server.close()
    expect(await codeOf(() => client.send(Buffer.from('late')))).toBe('ERR_WIREGUARD_CLOSED')
  })

  meshTest('say when nobody listens, nobody answers, or nobody waits any more', async (a, b) => {
    expect(await codeOf(() => a.device.dial({ address: b.v4, port: 9 }))).toBe('ERR_WIREGUARD_REFUSED')
    const stranger = { address: '10.77.0.99', port: 9, timeoutMs: 3_000 }
    expect(await codeOf(() => a.device.dial(stranger))).toBe('ERR_WIREGUARD_UNREACHABLE')
    expect(await codeOf(() => a.device.ping(stranger.address))).toBe('ERR_WIREGUARD_UNREACHABLE')
    const publicKey = publicKeyOf(generatePrivateKey())
    a.device.updatePeers([{ publicKey, allowedIps: ['10.77.0.98/32'] }])
    const silent = { address: '10.77.0.98', port: 9, timeoutMs: 300 }
    expect(await codeOf(() => a.device.dial(silent))).toBe('ERR_WIREGUARD_TIMED_OUT')
    expect(await codeOf(() => a.device.ping(silent.address, silent))).toBe('ERR_WIREGUARD_TIMED_OUT')
    await a.until(({ type }) => type === 'no-path')
    const signal = AbortSignal.timeout(50)
    const waiting = a.device.dial({ ...silent, timeoutMs: 5_000, signal })
    await expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  meshTest('keep closed what the filter does not open', async (a, b) => {
    b.device.setFilter({ allow: [{ protocol: 'tcp', ports: [8_001, 8_001], sources: [`${a.v4}/32`] }] })
    const open = await b.device.listen({ address: b.v4, port: 8_001 }, (socket) => socket.end('in'))
    const shut = await b.device.listen({ address: b.v4, port: 8_002 }, (socket) => socket.end('never'))
    const socket = await a.device.dial({ address: b.v4, port: 8_001 })
    expect(String(await all(socket))).toBe('in')
    const refused = await codeOf(() => a.device.dial({ address: b.v4, port: 8_002, timeoutMs: 500 }))
    expect(refused).toMatch(/ERR_WIREGUARD_(TIMED_OUT|REFUSED|UNREACHABLE)/)
    b.device.setFilter({ allow: [{ protocol: 'tcp' }, { protocol: 'udp' }] })
    await open.close()
    await shut.close()
  })
})
