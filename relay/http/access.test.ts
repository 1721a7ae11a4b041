import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { generateSigningKey } from '@ropewalk/shared/identity'
import { inviteIdOf, signRevocations, signToken } from '@ropewalk/shared/membership'
import { afterEach, describe, expect, test } from 'vitest'
import { makeSelfSigned } from '../certificate/index.ts'
import { type ActedRelayOptions, actRelay, openFront } from './acted-relay.ts'

const undo: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function start(options: ActedRelayOptions = {}) {
  const relay = await actRelay(options)
  const front = await openFront(relay)
  undo.push(() => relay.stop(), front.close)
  /** Sends bytes on a connection of their own and gives back all that comes until it ends. */
  const say = async (bytes: string): Promise<string> => {
    const socket = connectTcp({ port: front.port, host: '127.0.0.1' })
    socket.on('error', () => undefined)
    socket.write(bytes)
    return await text(socket).catch(() => '')
  }
  const get = (target: string, ...headers: string[]) =>
    say(
      `GET ${target} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n${headers.map((one) => `${one}\r\n`).join('')}\r\n`,
    )
  return { relay, front, say, get }
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])
const bearer = (token: string) => `Authorization: Bearer ${token}`
const TOPOLOGY = '/api/v1/topology'

describe('who may ask', () => {
  test('nobody without a token, and each reason is told', async () => {
    const { relay, get } = await start()
    const { network, root } = relay
    const about = { id: inviteIdOf(new Uint8Array(16)), scopes: ['read'], issuedAtMs: Date.now() }
    const sign = (patch: object, key = root) =>
      signToken(network, { ...about, notAfterMs: Date.now() + 1e6, ...patch }, key)
    expect(statusOf(await get(TOPOLOGY))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, bearer('rwt1_AAAA')))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, 'Authorization: Basic cm9vdDpyb290'))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, bearer(sign({ notAfterMs: Date.now() - 1 }))))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, bearer(sign({}, generateSigningKey()))))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, bearer(sign({}))))).toBe(200)
  })

  test('a token does what its scopes say and no more, `stream` and unknown ones are nothing here', async () => {
    const { relay, say, get } = await start()
    const remove = (token: string) =>
      say(`DELETE /api/v1/tunnels/x HTTP/1.1\r\nHost: r\r\nConnection: close\r\n${bearer(token)}\r\n\r\n`)
    expect(statusOf(await remove(relay.token(['read'])))).toBe(403)
    expect(statusOf(await remove(relay.token(['write'])))).toBe(404)
    expect(statusOf(await get(TOPOLOGY, bearer(relay.token(['stream', 'admin', 'Read', '__proto__']))))).toBe(403)
  })

  test('a revoked token counts no more at once', async () => {
    const { relay, get } = await start()
    const id = new Uint8Array(16).fill(7)
    const token = relay.token(['read'], { id })
    expect(statusOf(await get(TOPOLOGY, bearer(token)))).toBe(200)
    relay.revocations = signRevocations(relay.network, undefined, { tokens: [inviteIdOf(id)], nowMs: 1 }, relay.root)
    expect(statusOf(await get(TOPOLOGY, bearer(token)))).toBe(401)
  })

  test('two Authorization headers are refused, whichever comes first (frp CVE-2026-40910)', async () => {
    const { relay, get } = await start()
    const good = bearer(relay.token(['read']))
    const bad = bearer('rwt1_AAAA')
    for (const pair of [
      [good, bad],
      [bad, good],
      [good, good],
      [good, 'AUTHORIZATION: x'],
    ]) {
      expect(statusOf(await get(TOPOLOGY, ...pair))).toBe(400)
    }
  })

  test('no other place of a request proves anything: query, cookie, proxy header, user info', async () => {
    const { relay, get } = await start()
    const token = relay.token(['read'])
    expect(statusOf(await get(`${TOPOLOGY}?token=${token}&access_token=${token}`, `Cookie: token=${token}`))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, `Proxy-Authorization: Bearer ${token}`, `X-Api-Key: ${token}`))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, 'X-Forwarded-User: root', 'X-Remote-User: root'))).toBe(401)
  })
})

describe('what a request says of itself', () => {
  test('an absolute target is refused, whatever it names (zrok 2.0.3)', async () => {
    const { relay, get } = await start()
    const token = bearer(relay.token(['read', 'metrics']))
    for (const target of [
      'http://relay/api/v1/topology',
      'http://169.254.169.254/latest/meta-data/',
      'https://relay/metrics',
      '//evil.example/api/v1/topology',
      '*',
      'relay:443',
    ]) {
      expect(statusOf(await get(target, token)), target).toBe(400)
    }
  })

  test('forwarded headers and foreign hosts change nothing (coder GHSA-5g4w-3vw9-478w, GHSA-5wg6-jmq2-53pw)', async () => {
    const { relay, say, get } = await start()
    const token = bearer(relay.token(['read']))
    const forwarded = [
      'X-Forwarded-For: 203.0.113.9',
      'X-Forwarded-Host: evil.example',
      'X-Forwarded-Proto: http',
      'Forwarded: for=203.0.113.9;host=evil.example',
      'X-Original-URL: /metrics',
      'X-HTTP-Method-Override: DELETE',
      'Origin: https://evil.example',
    ]
    const plain = await get(TOPOLOGY, token)
    const told = await get(TOPOLOGY, token, ...forwarded)
    const bodyOf = (answer: string) => answer.slice(answer.indexOf('\r\n\r\n'))
    expect(bodyOf(told)).toBe(bodyOf(plain))
    expect(told).not.toMatch(/evil|access-control-allow/i)
    const host = await say(`GET ${TOPOLOGY} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n${token}\r\n\r\n`)
    expect(bodyOf(host)).toBe(bodyOf(plain))
    await get(TOPOLOGY, 'X-Forwarded-For: 203.0.113.9')
    expect(relay.entries().map(({ actor }) => actor)).toEqual(['127.0.0.1'])
  })

  test('two Host headers, or none, are refused', async () => {
    const { say } = await start()
    expect(statusOf(await say('GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n'))).toBe(400)
    expect(statusOf(await say('GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'))).toBe(400)
  })

  test('an upgrade of something else is answered as if it had not been asked for', async () => {
    const { get } = await start()
    const answer = await get('/healthz', 'Upgrade: websocket', 'Connection: Upgrade')
    expect(statusOf(answer)).toBe(200)
    expect(answer).not.toMatch(/^upgrade:/im)
  })
})

describe('metrics', () => {
  test('are for loopback, unless it is on somebody’s errand, or for a token of their own', async () => {
    const { relay, get } = await start()
    const local = await get('/metrics')
    expect(statusOf(local)).toBe(200)
    expect(local).toContain('ropewalk_topology_nodes{state="online"}')
    for (const [, name] of local.matchAll(/^# TYPE (\S+)/gm)) expect(name).toMatch(/^ropewalk_/)
    expect(statusOf(await get('/metrics', 'X-Forwarded-For: 203.0.113.9'))).toBe(401)
    const via = 'Via: 1.1 proxy'
    expect(statusOf(await get('/metrics', via, bearer(relay.token(['read', 'write']))))).toBe(403)
    expect(statusOf(await get('/metrics', via, bearer(relay.token(['metrics']))))).toBe(200)
  })

  test('have few labels, whatever is asked for', async () => {
    const { get } = await start()
    for (let i = 0; i < 20; i++) await get(`/random/${i}`)
    expect(await get('/metrics')).not.toContain('/random')
  })
})

describe('limits', () => {
  test('a source that asks too often is told to wait', async () => {
    const { relay, get } = await start({ limits: { requestsPerMinute: 5 } })
    const token = bearer(relay.token(['read']))
    const codes: number[] = []
    for (let i = 0; i < 7; i++) codes.push(statusOf(await get(TOPOLOGY, token)))
    expect(codes).toEqual([200, 200, 200, 200, 200, 429, 429])
  })

  test('a source that fails to prove itself too often is not judged any more for a while', async () => {
    const { relay, get } = await start({ limits: { refusalsPerMinute: 3 } })
    const good = bearer(relay.token(['read']))
    expect(statusOf(await get(TOPOLOGY, good))).toBe(200)
    for (let i = 0; i < 3; i++) expect(statusOf(await get(TOPOLOGY, bearer('rwt1_AAAA')))).toBe(401)
    expect(statusOf(await get(TOPOLOGY, good))).toBe(429)
  })

  test('a body is not read before its sender is known', async () => {
    const { say } = await start()
    const head = 'PUT /api/v1/policy HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\n'
    // says that a megabyte comes; the answer and the end are there long before
    const answer = await say(`${head}Content-Length: 1000000\r\n\r\n{"statement":"`)
    expect(statusOf(answer)).toBe(401)
    expect(answer).toMatch(/^connection: close/im)
  })

  test('a head that is too large, or no HTTP at all, gets a problem and the end', async () => {
    const { say } = await start()
    const large = await say(`GET / HTTP/1.1\r\nHost: r\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`)
    expect(statusOf(large)).toBe(431)
    const noise = await say('\x16\x03\x01 hello\r\n\r\n')
    expect(statusOf(noise)).toBe(400)
    expect(noise).toContain('application/problem+json')
    // two lengths, or a length and chunks: the ground of request smuggling
    const smuggled = 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    expect(statusOf(await say(`POST /api/v1/invites HTTP/1.1\r\nHost: r\r\n${smuggled}`))).toBe(400)
  })
})

describe('TLS on connections that are handed over', () => {
  test('1.3 answers, 1.2 and plain HTTP do not', async () => {
    const tls = { kind: 'certificate', ...(await makeSelfSigned(['relay.example'], Date.now())) } as const
    const { relay, front, say } = await start({ tls })
    const secure = async (version: 'TLSv1.2' | 'TLSv1.3') => {
      const socket = connectTls({
        port: front.port,
        host: '127.0.0.1',
        ca: tls.cert,
        servername: 'relay.example',
        minVersion: version,
        maxVersion: version,
        ALPNProtocols: ['h2', 'http/1.1'],
      })
      await once(socket, 'secureConnect')
      socket.write(
        `GET ${TOPOLOGY} HTTP/1.1\r\nHost: r\r\nConnection: close\r\n${bearer(relay.token(['read']))}\r\n\r\n`,
      )
      return [socket.alpnProtocol, statusOf(await text(socket))]
    }
    expect(await secure('TLSv1.3')).toEqual(['http/1.1', 200])
    await expect(secure('TLSv1.2')).rejects.toThrow()
    expect(statusOf(await say('GET / HTTP/1.1\r\nHost: r\r\n\r\n'))).toBeNaN()
  })
})

test('a stop lets a request under way end, and ends connections that idle', async () => {
  const { relay, front } = await start()
  const idle = connectTcp({ port: front.port, host: '127.0.0.1' })
  idle.write('GET /healthz HTTP/1.1\r\nHost: r\r\n\r\n')
  await once(idle, 'data')
  const ended = once(idle, 'close')
  idle.resume()
  await relay.stop()
  await ended
})
