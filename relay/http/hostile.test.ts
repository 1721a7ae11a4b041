import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EventReader } from '../../peer/watchers/test-event-reader.ts'
import { DescribedApi } from '../described-api/index.ts'
import { type ActedRelay, actRelay, openFront } from './acted-relay.ts'
import { createWebServer, watchTimeouts } from './server.ts'

let relay: ActedRelay
let front: Awaited<ReturnType<typeof openFront>>
let api: DescribedApi
let token = ''
beforeAll(async () => {
  relay = await actRelay()
  front = await openFront(relay)
  api = new DescribedApi((await relay.web.app.inject('/api/v1/openapi.json')).json())
  token = relay.token(['read', 'write'])
})
afterAll(async () => {
  await relay.stop()
  front.close()
})

const CALLS = [
  ['GET', '/api/v1/topology'],
  ['GET', '/api/v1/nodes'],
  ['GET', '/api/v1/nodes/x'],
  ['GET', '/api/v1/nodes/x/paths'],
  ['DELETE', '/api/v1/tunnels/x'],
  ['PUT', '/api/v1/policy'],
  ['POST', '/api/v1/invites'],
  ['POST', '/api/v1/revocations'],
  ['GET', '/api/v1/audit'],
] as const

const word = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('../..', '%00', '%2e%2e%2f', "' OR 1=1", '__proto__', 'constructor', '9'.repeat(400), '-1', 'NaN'),
)

describe('requests that make no sense', () => {
  test('are answered as the API’s document says, by thousands, and none is a fault of ours', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...CALLS),
        fc.array(fc.tuple(fc.oneof(word, fc.constantFrom('limit', 'cursor')), word), { maxLength: 3 }),
        fc.oneof(
          fc.json(),
          word,
          fc.record({ statement: fc.base64String({ maxLength: 600 }) }).map((one) => JSON.stringify(one)),
        ),
        word,
        async ([method, path], pairs, payload, id) => {
          const query = new URLSearchParams(pairs).toString()
          const url = `${path.replace('/x', `/${encodeURIComponent(id.toWellFormed()) || 'x'}`)}?${query}`
          const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
          const body = method === 'GET' ? {} : { payload }
          const answer = await relay.web.app.inject({ method, url, headers, ...body })
          expect(answer.statusCode, `${method} ${url} ${payload} ${answer.body}`).toBeLessThan(500)
          if (answer.statusCode !== 404) expect(api.faults({ method, url }, answer)).toEqual([])
        },
      ),
      { numRuns: 3_000 },
    )
  }, 120_000)

  test('bytes of any kind on the port, twenty thousand times, harm nobody else and leave no socket behind', async () => {
    const request = `GET /api/v1/topology HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer ${token}\r\nContent-Length: 3\r\n\r\nabc`
    const noise = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      // a request with one place changed: near enough to get far
      fc
        .tuple(fc.nat(request.length - 1), fc.string({ maxLength: 4, unit: 'binary' }))
        .map(([at, change]) => Buffer.from(`${request.slice(0, at)}${change}${request.slice(at + 1)}`, 'latin1')),
    )
    // somebody watches the topology all the while, and hears of every change
    const authorization = `Bearer ${relay.token(['read'])}`
    const watcher = await EventReader.open(front.port, { authorization })
    await watcher.snapshot()
    let volleys = 0
    await fc.assert(
      fc.asyncProperty(fc.array(noise, { minLength: 50, maxLength: 50 }), async (many) => {
        await Promise.all(many.map((bytes) => send(bytes)))
        if (++volleys % 20 !== 0) return
        relay.join(`n${volleys}`)
        expect((await watcher.delta()).delta).toBeDefined()
        const answer = await relay.web.app.inject({ url: '/api/v1/topology', headers: { authorization } })
        expect(answer.statusCode).toBe(200)
      }),
      { numRuns: 400 },
    )
    expect(volleys).toBe(400)
    watcher.close()
    await expect.poll(() => front.sockets.size).toBe(0)
  }, 180_000)

  test('tokens of any kind are refused as such', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          word,
          fc
            .nat(token.length - 1)
            .map((at) => `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`),
        ),
        async (text) => {
          const authorization = `Bearer ${text}`.replaceAll(/[^\x20-\x7e]/g, '')
          const answer = await relay.web.app.inject({ url: '/api/v1/topology', headers: { authorization } })
          expect(answer.statusCode).toBe(401)
        },
      ),
      { numRuns: 1_000 },
    )
  }, 60_000)
})

describe('slow and silent connections', () => {
  test('are ended by the time limits, though the server never listened itself', async () => {
    const server = createWebServer({ kind: 'none' }, (_request, response) => response.end('x'))
    server.headersTimeout = 300
    server.requestTimeout = 600
    watchTimeouts(server)
    const near = await openFrontOf(server)
    const [half, body] = [connect(near.port, '127.0.0.1'), connect(near.port, '127.0.0.1')]
    half.write('GET / HT')
    body.write('POST / HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\nabc')
    await Promise.all([text(half), text(body)])
    near.close()
    server.close()
  }, 10_000)
})

/** Sends bytes, ends its side, and waits until the other side has ended too. */
async function send(bytes: Buffer): Promise<void> {
  const socket: Socket = connect({ port: front.port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  socket.end(bytes)
  socket.resume()
  await once(socket, 'close')
}

function openFrontOf(server: ReturnType<typeof createWebServer>) {
  return openFront({ web: { server } } as ActedRelay)
}
