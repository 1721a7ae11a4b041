import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { silentLogger } from '@ropewalk/shared/logger'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDashboardDoor, type DashboardDoor } from './index.ts'

const TOKEN = 't'.repeat(32)
/** What the head was asked last. */
let asked: { url: string | undefined; headers: IncomingHttpHeaders }
let connections = 0
let reachable = true
const head = createServer((question, answer) => {
  asked = { url: question.url, headers: question.headers }
  if (question.url === '/moved') answer.writeHead(302, { location: '/elsewhere', 'set-cookie': 'a=b' }).end()
  else if (question.url === '/cut') answer.writeHead(200, { 'content-length': 9 }).end('1', () => answer.destroy())
  else answer.end('the page')
}).on('connection', () => {
  connections += 1
})
let door: DashboardDoor
let base: URL

beforeAll(async () => {
  head.listen(0, '127.0.0.1')
  await once(head, 'listening')
  const { port } = head.address() as AddressInfo
  door = createDashboardDoor(
    { port: 0, dashboardPort: port, token: TOKEN },
    {
      dial: async (at) => {
        if (!reachable) throw new Error('no way there')
        return connect(at, '127.0.0.1')
      },
      logger: silentLogger,
    },
  )
  await door.start()
  base = new URL(door.url)
})
afterAll(async () => {
  await door.stop()
  head.close()
})

async function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  const sent = request({ host: '127.0.0.1', port: base.port, path, agent: false, ...options }).end()
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
}

test('adds the token, keeps its own address from the head, and the head from the browser', async () => {
  const headers = {
    cookie: 'of=another-port',
    referer: door.url,
    authorization: 'Bearer mine',
    'x-ray-authorization': 'Bearer mine',
    connection: 'close, x-hop',
    'x-hop': '1',
    accept: 'text/html',
  }
  const page = await ask(`${base.pathname}api/v0/nodes?limit=3`, { headers })
  expect(page).toMatchObject({ status: 200, body: 'the page' })
  expect(page.headers).toMatchObject({
    'referrer-policy': 'no-referrer',
    'content-security-policy': "frame-ancestors 'self'",
  })
  expect(asked.url).toBe('/api/v0/nodes?limit=3')
  expect(asked.headers).toEqual({
    accept: 'text/html',
    authorization: `Bearer ${TOKEN}`,
    host: 'ray',
    connection: 'keep-alive',
  })
  const moved = await ask(`${base.pathname}moved`)
  expect(moved.headers.location).toBe(`${base.pathname}elsewhere`)
  expect(moved.headers['set-cookie']).toBeUndefined()
  expect((await ask(base.pathname.slice(0, -1))).headers.location).toBe(base.pathname)
})

test('opens to nobody without the path, under another name, or with an order', async () => {
  asked = { url: undefined, headers: {} }
  const key = base.pathname.slice(1, -1)
  const other = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`
  for (const path of ['/', '/api/v0/nodes', `/${other}/`, `/x/${key}/`, `//${key}/`, `/${key}x/`])
    expect([path, (await ask(path)).status]).toEqual([path, 404])
  for (const host of ['evil.example', `evil.example:${base.port}`, '127.0.0.1', 'localhost:1'])
    expect([host, (await ask(base.pathname, { headers: { host } })).status]).toEqual([host, 421])
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
    expect([method, (await ask(`${base.pathname}api/jobs/`, { method })).status]).toEqual([method, 405])
  expect(asked.url).toBeUndefined()
  expect((await ask(base.pathname, { headers: { host: `localhost:${base.port}` } })).status).toBe(200)
})

test('asks again by the connection it has, and says so when the head is gone or breaks off', async () => {
  await ask(base.pathname)
  const before = connections
  for (let turn = 0; turn < 5; turn += 1) await ask(base.pathname)
  expect(connections).toBe(before)
  await expect(ask(`${base.pathname}cut`)).rejects.toThrow(/aborted/)
  head.closeAllConnections()
  reachable = false
  expect(await ask(base.pathname)).toMatchObject({ status: 502, body: expect.stringContaining('no way there') })
  reachable = true
  expect((await ask(base.pathname)).status).toBe(200)
})
