import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { RopewalkError, toProblem } from '../errors/index.ts'
import { createClient, type FetchLike, pageOf, pageQuerySchema, peerApi, relayApi, type Status } from './index.ts'

const status: Status = {
  version: 1,
  self: {
    name: 'a',
    nodeId: '12D3Koo',
    network: 'n',
    addresses: [],
    wireguardPublicKey: 'k',
    mode: 'rootless',
    uptimeSeconds: 1,
  },
  relays: [{ url: 'https://r', name: 'r', state: 'connected', rttMs: null }],
  peers: { known: 1, online: 1, direct: 0, relayed: 1 },
  warnings: [],
}

function answering(code: number, body: unknown) {
  const seen: { url: string; init: Parameters<FetchLike>[1] }[] = []
  const fetch: FetchLike = (url, init) => {
    seen.push({ url, init })
    return Promise.resolve({ status: code, text: () => Promise.resolve(JSON.stringify(body)) })
  }
  return { fetch, seen }
}

describe('the client', () => {
  test('is typed by the contract and parses the answer', async () => {
    const { fetch, seen } = answering(200, status)
    const client = createClient(peerApi, { fetch, token: 't' })
    const answer = await client.status()
    expectTypeOf(answer).toEqualTypeOf<Status>()
    expect(answer).toEqual(status)
    expect(seen[0]).toMatchObject({
      url: '/api/v1/status',
      init: { method: 'GET', headers: { authorization: 'Bearer t' } },
    })
  })

  test('puts parameters, query and body in their places', async () => {
    const { fetch, seen } = answering(200, { version: 1, done: true })
    await createClient(peerApi, { fetch }).unexpose({ params: { name: 'a/../b' } })
    expect(seen[0]?.url).toBe('/api/v1/services/a%2F..%2Fb')
    const nodes = answering(200, { version: 1, nodes: [] })
    await createClient(relayApi, { fetch: nodes.fetch, baseUrl: 'https://r' }).nodes({
      query: { limit: 5, cursor: 'x&y' },
    })
    expect(nodes.seen[0]?.url).toBe('https://r/api/v1/nodes?limit=5&cursor=x%26y')
    const ping = answering(200, { version: 1, peer: 'a', address: 'x', rttMs: 1, path: 'direct' })
    await createClient(peerApi, { fetch: ping.fetch }).ping({ body: { peer: 'a' } })
    expect(ping.seen[0]?.init).toMatchObject({ method: 'POST', body: '{"peer":"a"}' })
  })

  test('throws the error the server meant', async () => {
    const problem = toProblem(new RopewalkError('unknown-peer', 'no member is called x', { hint: 'ropewalk peers' }))
    const client = createClient(peerApi, { fetch: answering(problem.status, problem).fetch })
    await expect(client.peer({ params: { peer: 'x' } })).rejects.toMatchObject({
      code: 'unknown-peer',
      message: 'no member is called x',
      hint: 'ropewalk peers',
    })
  })

  test('answers of another form are protocol errors, no answer is unreachable or timeout', async () => {
    const broken = createClient(peerApi, { fetch: answering(200, { version: 2 }).fetch })
    await expect(broken.status()).rejects.toMatchObject({ code: 'protocol-error' })
    const dead = createClient(peerApi, {
      fetch: () =>
        Promise.reject(
          new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) }),
        ),
    })
    await expect(dead.status()).rejects.toMatchObject({ code: 'unreachable' })
    const mute = createClient(peerApi, {
      timeoutMs: 5,
      fetch: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    })
    await expect(mute.status()).rejects.toMatchObject({ code: 'timeout' })
  })
})

describe('paging', () => {
  test('walking the pages gives every item once, in order, whatever the limit', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string()), fc.integer({ min: 1, max: 7 }), (ids, limit) => {
        const walked: string[] = []
        let cursor: string | undefined
        do {
          const page = pageOf(ids, (id) => id, pageQuerySchema.parse({ limit, cursor }))
          expect(page.items.length).toBeLessThanOrEqual(limit)
          walked.push(...page.items)
          cursor = page.nextCursor
        } while (cursor !== undefined)
        expect(walked).toEqual([...ids].sort())
      }),
    )
  })

  test('a foreign cursor is refused', () => {
    expect(() => pageOf(['a'], (id) => id, { cursor: '!!', limit: 1 })).toThrow(RopewalkError)
  })

  test('limits come as text from the query', () => {
    expect(pageQuerySchema.parse({ limit: '7' })).toEqual({ limit: 7 })
    expect(pageQuerySchema.safeParse({ limit: '0' }).success).toBe(false)
    expect(pageQuerySchema.safeParse({ limit: '7', other: 1 }).success).toBe(false)
  })
})
