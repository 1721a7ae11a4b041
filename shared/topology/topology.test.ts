import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  applyDelta,
  type CollectedNode,
  createCollector,
  diffSnapshots,
  type LinkEnd,
  type Report,
  type Snapshot,
  STALE_MS,
  snapshotSchema,
} from './index.ts'

const node = (nodeId: string, relay = false): CollectedNode => ({
  nodeId,
  name: nodeId,
  tags: [],
  addresses: [`fd00::${nodeId}`],
  relay,
  services: [],
  revoked: false,
})
const end = (patch: Partial<LinkEnd> = {}): LinkEnd => ({ up: true, kind: 'direct', txBytes: 0, rxBytes: 0, ...patch })
const report = (sequence: number, links: Report['links'] = []): Report => ({ sequence, at: 0, links })
const T = 1_000_000

function pair() {
  const collector = createCollector({ epoch: 'e' })
  collector.setNodes([node('b'), node('a')])
  return collector
}

describe('topology', () => {
  test('a link shows what both ends say', () => {
    const collector = pair()
    collector.report('a', report(1, [{ peer: 'b', ...end({ rttMs: 5 }) }]), T)
    collector.report('b', report(1, [{ peer: 'a', ...end({ rttMs: 7, kind: 'relay', via: 'r' }) }]), T)
    const { links } = collector.snapshot(T)
    expect(links).toEqual([
      {
        id: 'a|b',
        a: 'a',
        b: 'b',
        state: 'up',
        kind: 'relay',
        rttMs: 5,
        endA: end({ rttMs: 5 }),
        endB: end({ rttMs: 7, kind: 'relay', via: 'r' }),
      },
    ])
  })

  test('ends that disagree make a one-way link', () => {
    const collector = pair()
    collector.report('a', report(1, [{ peer: 'b', ...end() }]), T)
    collector.report('b', report(1, [{ peer: 'a', ...end({ up: false }) }]), T)
    expect(collector.snapshot(T).links[0]).toMatchObject({ state: 'one-way' })
  })

  test('a node is offline and its words are void after 15 s of silence, not before', () => {
    const collector = pair()
    collector.report('a', report(1, [{ peer: 'b', ...end() }]), T)
    expect(collector.snapshot(T + STALE_MS).nodes[0]).toMatchObject({ nodeId: 'a', state: 'online' })
    expect(collector.snapshot(T + STALE_MS).links).toHaveLength(1)
    const late = collector.snapshot(T + STALE_MS + 1)
    expect(late.nodes[0]).toMatchObject({ nodeId: 'a', state: 'offline', lastHeardAt: T })
    expect(late.links).toEqual([])
  })

  test('a link to a dead end is down, even while the other end has not noticed', () => {
    const collector = pair()
    collector.report('a', report(1, [{ peer: 'b', ...end() }]), T)
    collector.report('b', report(1, [{ peer: 'a', ...end() }]), T)
    collector.gone('b')
    expect(collector.snapshot(T).links).toMatchObject([{ state: 'down', endA: { up: true } }])
  })

  test('a good-bye counts at once, a revoked member is shown as such', () => {
    const collector = pair()
    collector.heard('a', T)
    collector.gone('a')
    expect(collector.snapshot(T).nodes[0]).toMatchObject({ state: 'offline' })
    collector.setNodes([{ ...node('a'), revoked: true }])
    collector.heard('a', T)
    expect(collector.snapshot(T).nodes).toMatchObject([{ state: 'revoked' }])
  })

  test('old, foreign and self reports are ignored', () => {
    const collector = pair()
    expect(collector.report('a', report(2), T)).toBe(true)
    expect(collector.report('a', report(2), T)).toBe(false)
    expect(collector.report('a', report(1), T)).toBe(false)
    expect(collector.report('x', report(1), T)).toBe(false)
    collector.report(
      'b',
      report(1, [
        { peer: 'b', ...end() },
        { peer: 'x', ...end() },
      ]),
      T,
    )
    expect(collector.snapshot(T).links).toEqual([])
  })

  test('the sequence rises with changes only', () => {
    const collector = pair()
    const first = collector.snapshot(T)
    expect(collector.advance(T + 1)).toBeUndefined()
    expect(collector.snapshot(T + 1)).toEqual(first)
    collector.heard('a', T + 2)
    expect(collector.advance(T + 2)).toMatchObject({ since: first.sequence, sequence: first.sequence + 1 })
  })

  test('relays are online as their node is', () => {
    const collector = createCollector({ epoch: 'e' })
    collector.setNodes([node('r', true)])
    collector.setRelays([{ nodeId: 'r', name: 'r', url: 'https://r' }])
    expect(collector.snapshot(T).relays).toMatchObject([{ state: 'offline' }])
    collector.heard('r', T)
    expect(collector.snapshot(T).relays).toMatchObject([{ state: 'online' }])
  })
})

const ids = ['a', 'b', 'c', 'd', 'e']
const arbitraryLinks = fc.uniqueArray(
  fc.record({ peer: fc.constantFrom(...ids), up: fc.boolean(), rttMs: fc.nat(9) }),
  { selector: ({ peer }) => peer },
)
const arbitraryStep = fc.oneof(
  fc.record({
    do: fc.constant('report' as const),
    id: fc.constantFrom(...ids),
    sequence: fc.nat(9),
    links: arbitraryLinks,
  }),
  fc.record({ do: fc.constant('nodes' as const), present: fc.subarray(ids) }),
  fc.record({ do: fc.constant('gone' as const), id: fc.constantFrom(...ids) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.nat(20_000) }),
)

describe('deltas', () => {
  test('snapshot, then every delta, gives the next snapshot', () => {
    fc.assert(
      fc.property(fc.array(arbitraryStep, { maxLength: 30 }), (steps) => {
        const collector = createCollector({ epoch: 'e' })
        let now = T
        let mirror: Snapshot = collector.snapshot(now)
        for (const step of steps) {
          if (step.do === 'wait') now += step.ms
          else if (step.do === 'gone') collector.gone(step.id)
          else if (step.do === 'nodes') collector.setNodes(step.present.map((id) => node(id)))
          else {
            const links = step.links.map(({ peer, up, rttMs }) => ({ peer, ...end({ up, rttMs }) }))
            collector.report(step.id, report(step.sequence, links), now)
          }
          const delta = collector.advance(now)
          if (delta !== undefined) mirror = applyDelta(mirror, JSON.parse(JSON.stringify(delta)))
          expect(mirror).toEqual(collector.snapshot(now))
          snapshotSchema.parse(mirror)
        }
      }),
    )
  })

  test('a delta that does not follow is refused', () => {
    const collector = pair()
    const first = collector.snapshot(T)
    collector.heard('a', T)
    const second = collector.snapshot(T)
    const delta = diffSnapshots(first, second)
    expect(applyDelta(first, delta)).toEqual(second)
    expect(() => applyDelta(second, delta)).toThrow('does not fit')
    expect(() => applyDelta({ ...first, epoch: 'other' }, delta)).toThrow('does not fit')
  })
})
