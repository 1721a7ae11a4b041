import { generateSigningKey } from '@ropewalk/shared/identity'
import { inviteIdOf, signInvite, signPolicy, signRevocations } from '@ropewalk/shared/membership'
import type { InjectOptions } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { DescribedApi } from '../described-api/index.ts'
import { type ActedRelay, actRelay } from './acted-relay.ts'

let relay: ActedRelay
let api: DescribedApi
beforeEach(async () => {
  relay = await actRelay()
  api = new DescribedApi((await relay.web.app.inject('/api/v1/openapi.json')).json())
})
afterEach(() => relay.stop())

/** Asks, and holds the answer against the document that the relay serves of itself. */
async function ask(request: InjectOptions & { url: string }, scopes = ['read', 'write']) {
  const { method = 'GET', url } = request
  const headers = { authorization: `Bearer ${relay.token(scopes)}`, ...request.headers }
  const answer = await relay.web.app.inject({ ...request, method, headers })
  expect(api.faults({ method, url }, answer)).toEqual([])
  return answer
}

const inBase64 = (bytes: Uint8Array) => ({ statement: Buffer.from(bytes).toString('base64url') })
const stream = (id: string) => {
  const ends = { visitor: 'v', agent: 'a', openedAt: 1, txBytes: 1, rxBytes: 2 }
  return { id, role: 'relay', via: 'tunnel', ...ends } as const
}

describe('the API', () => {
  test('shows the mesh: whole, in pages, one member by id or name', async () => {
    const a = relay.join('worker-a')
    for (const name of ['b', 'c', 'd']) relay.join(name)
    await relay.changed()
    expect((await ask({ url: '/api/v1/topology' })).json().nodes).toHaveLength(5)
    const first = (await ask({ url: '/api/v1/nodes?limit=3' })).json()
    const second = (await ask({ url: `/api/v1/nodes?limit=3&cursor=${first.nextCursor}` })).json()
    expect([first.nodes.length, second.nodes.length, second.nextCursor]).toEqual([3, 2, undefined])
    for (const id of [a.nodeId, 'worker-a']) {
      expect((await ask({ url: `/api/v1/nodes/${id}` })).json().node.name).toBe('worker-a')
      expect((await ask({ url: `/api/v1/nodes/${id}/paths` })).json()).toMatchObject({ links: [] })
    }
    expect((await ask({ url: '/api/v1/nodes/nobody' })).json()).toMatchObject({ status: 404, code: 'unknown-peer' })
    expect((await ask({ url: '/api/v1/relays' })).json().relays).toEqual([])
  })

  test('says who knows clusters and jobs, and describes none of them', async () => {
    for (const url of ['/api/v1/clusters', '/api/v1/jobs/raysubmit_1/logs', '/api/v1/leases']) {
      const answer = (await ask({ url })).json()
      expect(answer).toMatchObject({
        status: 404,
        code: 'not-found',
        detail: expect.stringContaining('peer that hired'),
      })
      expect(answer.hint).toContain('ropewalk cluster list')
    }
    expect(Object.keys(api.document.paths).filter((path) => /cluster|job|lease/.test(path))).toEqual([])
    expect(Object.keys(api.document.paths)).toContain('/api/v1/devices')
  })

  test('shows tunnels and ends one', async () => {
    relay.streams.set('s1', stream('s1'))
    expect((await ask({ url: '/api/v1/tunnels/agents' })).json().agents).toHaveLength(1)
    expect((await ask({ url: '/api/v1/tunnels' })).json().streams).toHaveLength(1)
    expect((await ask({ method: 'DELETE', url: '/api/v1/tunnels/s1' })).statusCode).toBe(200)
    expect((await ask({ method: 'DELETE', url: '/api/v1/tunnels/s1' })).json().code).toBe('not-found')
  })

  test('takes in what the root has signed, and nothing else', async () => {
    const { network, root } = relay
    const rules = Buffer.from(JSON.stringify({ rules: [] }))
    const sign = (key = root) => signPolicy(network, { seq: 7, issuedAtMs: 1, rules }, key).bytes
    expect((await ask({ url: '/api/v1/policy' })).json()).toMatchObject({ sequence: 0 })
    expect((await ask({ method: 'PUT', url: '/api/v1/policy', payload: inBase64(sign()) })).statusCode).toBe(200)
    expect((await ask({ url: '/api/v1/policy' })).json()).toEqual({ version: 1, sequence: 7, policy: { rules: [] } })
    const forged = inBase64(sign(generateSigningKey()))
    expect((await ask({ method: 'PUT', url: '/api/v1/policy', payload: forged })).json().code).toBe('bad-signature')
    const revocations = signRevocations(network, undefined, { nowMs: 1 }, root)
    const revoke = { method: 'POST', url: '/api/v1/revocations', payload: inBase64(revocations.bytes) } as const
    expect((await ask(revoke)).statusCode).toBe(200)
    expect(relay.revocations?.seq).toBe(1)
  })

  test('checks an invite as an admitter would', async () => {
    const invite = (notAfterMs: number, key = relay.root) =>
      signInvite(
        relay.network,
        {
          id: inviteIdOf(new Uint8Array(16)),
          key: generateSigningKey().publicKey,
          tags: [],
          rights: [],
          uses: 1,
          notBeforeMs: 0,
          notAfterMs,
        },
        key,
      ).bytes
    const hand = async (bytes: Uint8Array) =>
      (await ask({ method: 'POST', url: '/api/v1/invites', payload: inBase64(bytes) })).json()
    expect(await hand(invite(Date.now() + 1e6))).toEqual({ version: 1, done: true })
    expect(await hand(invite(Date.now() - 1e6))).toMatchObject({ code: 'ticket-expired' })
    expect(await hand(invite(Date.now() + 1e6, generateSigningKey()))).toMatchObject({ code: 'bad-signature' })
  })

  test('says what is wrong with a request, in the form of RFC 9457', async () => {
    expect((await ask({ url: '/api/v1/nodes?limit=0' })).json()).toMatchObject({ status: 400, code: 'bad-input' })
    expect((await ask({ url: '/api/v1/nodes?other=1' })).statusCode).toBe(400)
    expect((await ask({ url: '/api/v1/nodes?cursor=!' })).statusCode).toBe(400)
    expect((await ask({ method: 'PUT', url: '/api/v1/policy', payload: { statement: '+' } })).statusCode).toBe(400)
    const huge = { statement: 'A'.repeat(1_600_000) }
    expect((await ask({ method: 'PUT', url: '/api/v1/policy', payload: huge })).statusCode).toBe(413)
  })

  test('writes down who changed what, and who was refused', async () => {
    relay.streams.set('s1', stream('s1'))
    await ask({ method: 'DELETE', url: '/api/v1/tunnels/s1' })
    await ask({ method: 'DELETE', url: '/api/v1/tunnels/s2' })
    await ask({ method: 'DELETE', url: '/api/v1/tunnels/s3' }, ['read'])
    await ask({ url: '/api/v1/topology', headers: { authorization: 'Bearer rwt1_no' } })
    await ask({ url: '/api/v1/topology' })
    const { entries } = (await ask({ url: '/api/v1/audit' })).json()
    expect(entries).toMatchObject([
      { event: 'end-tunnel', subject: 's1', actor: expect.stringMatching(/^token [0-9a-f]{8} of root$/) },
      { event: 'end-tunnel', subject: 's2', code: 'not-found' },
      { event: 'refused', subject: 's3', code: 'forbidden', details: { operation: 'end-tunnel' } },
      { event: 'refused', actor: '127.0.0.1', code: 'unauthenticated', details: { operation: 'topology' } },
    ])
  })

  test('says whether it lives and serves, and who it is, to anybody', async () => {
    const anybody = { headers: { authorization: '' } }
    expect((await ask({ url: '/healthz', ...anybody })).statusCode).toBe(200)
    expect((await ask({ url: '/readyz', ...anybody })).statusCode).toBe(200)
    expect((await ask({ url: '/.well-known/ropewalk', ...anybody })).json()).toMatchObject({ version: 1 })
    relay.unready = 'The forwarder has stopped'
    expect((await ask({ url: '/readyz', ...anybody })).json()).toMatchObject({ status: 503, detail: relay.unready })
    expect((await ask({ url: '/healthz', ...anybody })).statusCode).toBe(200)
  })

  test('has a reference page that runs no script of others', async () => {
    const page = await relay.web.app.inject('/docs/')
    expect(page.statusCode).toBe(200)
    expect(page.headers['content-security-policy']).toContain("script-src 'self';")
    const script = await relay.web.app.inject('/docs/static/swagger-initializer.js')
    expect(script.body).toContain('/api/v1/openapi.json')
  })
})

const schemaLike = z.record(z.string(), z.unknown())
const content = z.record(z.string().regex(/^[\w.+-]+\/[\w.+-]+$/), z.strictObject({ schema: schemaLike }))
const operation = z.strictObject({
  operationId: z.string(),
  summary: z.string(),
  description: z.string().optional(),
  parameters: z
    .array(
      z.strictObject({
        name: z.string(),
        in: z.enum(['query', 'header', 'path']),
        required: z.boolean(),
        schema: schemaLike,
      }),
    )
    .optional(),
  requestBody: z.strictObject({ required: z.boolean(), content }).optional(),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  responses: z.record(z.string().regex(/^\d{3}$|^default$/), z.strictObject({ description: z.string(), content })),
})
// the objects of OpenAPI 3.1.0 §4.8 that we use, with no key that the specification does not know there
const openapi = z.strictObject({
  openapi: z.literal('3.1.0'),
  info: z.strictObject({
    title: z.string(),
    version: z.string(),
    description: z.string(),
    license: z.strictObject({ name: z.string(), identifier: z.string() }),
  }),
  servers: z.array(z.strictObject({ url: z.literal('/') })),
  paths: z.record(z.string().startsWith('/'), z.partialRecord(z.enum(['get', 'put', 'post', 'delete']), operation)),
  components: z.strictObject({ schemas: z.record(z.string(), schemaLike), securitySchemes: schemaLike }),
})

describe('the OpenAPI document', () => {
  test('is a whole 3.1 document: every operation once, with its answers and its errors', () => {
    const { paths } = openapi.parse(api.document)
    const operations = Object.values(paths).flatMap((item) => Object.values(item))
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
    for (const { responses } of operations) expect(Object.keys(responses)).toEqual(['200', 'default'])
    for (const [path, item] of Object.entries(paths)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      for (const { parameters = [] } of Object.values(item)) {
        expect(parameters.filter((one) => one.in === 'path').map(({ name }) => name)).toEqual(named)
      }
    }
    expect(paths['/api/v1/topology/events']?.get?.responses['200']?.content).toHaveProperty('text/event-stream')
  })

  test('its schemas are JSON Schema 2020-12', () => {
    expect(api.schemaFaults()).toEqual([])
  })

  test('an answer of another form would be found out', () => {
    const answer = { statusCode: 200, headers: { 'content-type': 'application/json' }, body: '{"version":2}' }
    expect(api.faults({ method: 'GET', url: '/api/v1/topology' }, answer)).not.toEqual([])
    const teapot = { ...answer, headers: { 'content-type': 'text/html' } }
    expect(api.faults({ method: 'GET', url: '/healthz' }, teapot)).not.toEqual([])
  })
})
