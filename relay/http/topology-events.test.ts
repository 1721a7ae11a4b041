import { inviteIdOf, signRevocations } from '@ropewalk/shared/membership'
import { applyDelta } from '@ropewalk/shared/topology'
import { afterEach, describe, expect, test } from 'vitest'
import { EventReader } from '../../peer/watchers/test-event-reader.ts'
import { actRelay, openFront } from './acted-relay.ts'

const undo: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function start() {
  const relay = await actRelay()
  const front = await openFront(relay)
  undo.push(() => relay.stop(), front.close)
  const watch = async (headers: Record<string, string> = {}) => {
    const reader = await EventReader.open(front.port, {
      authorization: `Bearer ${relay.token(['read'])}`,
      ...headers,
    })
    undo.push(() => reader.close())
    return reader
  }
  return { relay, front, watch }
}

describe('the topology’s events', () => {
  test('begin with a snapshot at once, and go on with deltas that fit it', async () => {
    const { relay, watch } = await start()
    const reader = await watch()
    expect(reader.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    let { snapshot } = await reader.snapshot()
    for (const name of ['a', 'b', 'c']) {
      relay.join(name)
      snapshot = applyDelta(snapshot, (await reader.delta()).delta)
    }
    expect(snapshot).toEqual(relay.topology.snapshot())
    expect(snapshot.nodes).toHaveLength(4)
  })

  test('a reader that comes back is given what it missed, nothing twice', async () => {
    const { relay, watch } = await start()
    const first = await watch()
    const { id, snapshot } = await first.snapshot()
    first.close()
    relay.join('a')
    await relay.changed()
    relay.join('b')
    await relay.changed()
    const second = await watch({ 'last-event-id': id })
    const one = await second.delta()
    const two = await second.delta()
    expect(applyDelta(applyDelta(snapshot, one.delta), two.delta)).toEqual(relay.topology.snapshot())
    const third = await watch({ 'last-event-id': two.id })
    relay.join('c')
    expect((await third.delta()).delta.since).toBe(two.delta.sequence)
  })

  test.each(['other-epoch.3', 'epoch-1.99999', 'rubbish', 'epoch-1.-1', `epoch-1.${'9'.repeat(40)}`])(
    'a mark that leads nowhere (%s) begins with a snapshot',
    async (mark) => {
      const { watch } = await start()
      await (await watch({ 'last-event-id': mark })).snapshot()
    },
  )

  test('nobody watches without the scope, and a refusal is a problem', async () => {
    const { relay, watch } = await start()
    const refused = await watch({ authorization: `Bearer ${relay.token(['write'])}` })
    expect(refused.response.statusCode).toBe(403)
    expect((await watch({ authorization: 'Bearer rwt1_AAAA' })).response.statusCode).toBe(401)
  })

  test('a revoked token’s stream ends within 2 s, and says why (chisel GHSA-24fp-5v3p-rvpw)', async () => {
    const { relay, watch } = await start()
    const id = new Uint8Array(16).fill(9)
    const reader = await watch({ authorization: `Bearer ${relay.token(['read'], { id })}` })
    const other = await watch()
    await reader.snapshot()
    await other.snapshot()
    relay.revocations = signRevocations(relay.network, undefined, { tokens: [inviteIdOf(id)], nowMs: 1 }, relay.root)
    const began = performance.now()
    const end = await reader.next()
    expect(end).toMatchObject({ event: 'end', data: expect.stringContaining('unauthenticated') })
    expect(await reader.next()).toBeUndefined()
    expect(performance.now() - began).toBeLessThan(2_000)
    relay.join('a')
    await other.delta() // others go on
  })

  test('a token’s end in time ends its stream too', async () => {
    const { relay, watch } = await start()
    const reader = await watch({
      authorization: `Bearer ${relay.token(['read'], { notAfterMs: Date.now() + 500 })}`,
    })
    await reader.snapshot()
    expect(await reader.next()).toMatchObject({ event: 'end' })
  })

  test('a reader that leaves is forgotten', async () => {
    const { relay, front, watch } = await start()
    const readers = await Promise.all(Array.from({ length: 20 }, () => watch()))
    for (const reader of readers) await reader.snapshot()
    const watching = async () => /^ropewalk_topology_watchers (\d+)$/m.exec(await relay.registry.metrics())?.[1]
    expect(await watching()).toBe('20')
    for (const reader of readers) reader.close()
    await expect.poll(() => front.sockets.size).toBe(0)
    expect(await watching()).toBe('0')
  })

  test('HEAD is not a stream', async () => {
    const { relay } = await start()
    const headers = { authorization: `Bearer ${relay.token(['read'])}` }
    const answer = await relay.web.app.inject({ method: 'HEAD', url: '/api/v1/topology/events', headers })
    expect(answer.statusCode).toBe(404)
  })

  test('when the relay stops, streams are told and end', async () => {
    const { relay, watch } = await start()
    const reader = await watch()
    await reader.snapshot()
    const stopped = relay.stop()
    expect(await reader.next()).toMatchObject({ event: 'end', data: expect.stringContaining('draining') })
    expect(await reader.next()).toBeUndefined()
    await stopped
  })
})
