import { randomBytes } from 'node:crypto'
import { CORPUS, damaged, expectOnlyTypedErrors } from '@ropewalk/shared/hostile'
import { generateSigningKey } from '@ropewalk/shared/identity'
import { parseRelayUrl } from '@ropewalk/shared/membership'
import { tierOf } from '@ropewalk/shared/runtime'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestMesh, type TestNode, until, wayTo } from '../../discovery/test-mesh.ts'
import { answerSpeed, measureLink } from './index.ts'
import { measureTo, speedOf } from './speed.ts'
import { SPEED_LIMITS, SpeedAllowance } from './speed-desk.ts'
import { CHUNK_BYTES, decodeSpeed, encodeSpeed, SPEED_PROTOCOL } from './speed-wire.ts'

const QUICK = { durationMs: 600 }
/** Requests after which a measurement that is to be stopped is under way. */
const IN_THE_MIDDLE = 12

describe('over real libp2p hosts', () => {
  const mesh = new TestMesh()
  const front = { url: parseRelayUrl('https://127.0.0.1:443/'), udpPort: 3478 }
  const relay = mesh.admitted('relay', { overrides: { relay: front } })
  let worker: TestNode
  let other: TestNode
  /** The relay's clock for its limits. */
  let nowMs = 0

  const partner = (name: string) => {
    const member = worker.discovery.member(name)
    if (member === undefined) throw new Error(`${name} is not known`)
    return member
  }

  beforeAll(async () => {
    await relay.discovery.start()
    ;[worker, other] = [
      mesh.joiner('worker', { waysIn: [wayTo(relay)] }),
      mesh.joiner('other', { waysIn: [wayTo(relay)] }),
    ]
    await Promise.all([worker.discovery.start(), other.discovery.start()])
    for (const name of ['relay', 'other']) {
      const linked = () => worker.discovery.connectedTo(partner(name).nodeId)
      await until(worker, () => worker.discovery.member(name)?.state === 'online' && linked(), `${name} is linked`)
    }
    answerSpeed(relay.discovery, { nowMs: () => nowMs })
  })

  afterAll(() => mesh.stop())

  test('a link is measured both ways; who has just measured is told when to come again', async () => {
    const { upMbps, downMbps } = await measureTo(worker.discovery, partner('relay'), QUICK)
    console.log(`loopback, both ends in one process: ${Math.round(upMbps)} up, ${Math.round(downMbps)} down Mbit/s`)
    // a hundredth of what loopback does here: this is about counting right, not about speed
    expect(Math.min(upMbps, downMbps)).toBeGreaterThan(5)
    expect(Math.max(upMbps, downMbps)).toBeLessThan(100_000)
    await expect(measureTo(worker.discovery, partner('relay'), QUICK)).rejects.toMatchObject({
      code: 'rate-limited',
      message: expect.stringContaining('again in 60 s'),
    })
    nowMs += SPEED_LIMITS.pauseMs
    await expect(measureTo(worker.discovery, partner('relay'), QUICK)).resolves.toBeDefined()
  }, 20_000)

  test('relays are asked first, members that cannot are passed over, and the best counts', async () => {
    nowMs += SPEED_LIMITS.pauseMs
    const link = await measureLink(worker.discovery, worker.log.logger, QUICK)
    expect(link).toMatchObject({ with: ['relay'], tier: tierOf(link) })
    expect(worker.log.lines.find((line) => line.message === 'could not measure the link')?.peer).toBe('other')
    // nobody has time now
    await expect(measureLink(worker.discovery, worker.log.logger, QUICK)).rejects.toMatchObject({
      code: 'rate-limited',
    })

    const stopAnswering = answerSpeed(other.discovery)
    nowMs += SPEED_LIMITS.pauseMs
    expect((await measureLink(worker.discovery, worker.log.logger, QUICK)).with).toEqual(['relay', 'other'])
    stopAnswering()
  }, 20_000)

  test('a measurement that is stopped ends at once, and nobody to measure with is said', async () => {
    nowMs += SPEED_LIMITS.pauseMs
    const stop = new AbortController()
    let asked = 0
    const request: typeof worker.discovery.request = (...about) => {
      asked += 1
      if (asked === IN_THE_MIDDLE) stop.abort()
      return worker.discovery.request(...about)
    }
    const measuring = measureTo({ request }, partner('relay'), { durationMs: 8_000, signal: stop.signal })
    const startedMs = performance.now()
    await expect(measuring).rejects.toThrow()
    expect(performance.now() - startedMs).toBeLessThan(2_000)
    const alone = {
      request: worker.discovery.request,
      members: () => [],
      connectedTo: () => false,
      rttMs: () => undefined,
    }
    await expect(measureLink(alone, worker.log.logger)).rejects.toMatchObject({ code: 'unreachable' })
  }, 20_000)

  test('requests that make no sense are refused, and the desk still answers', async () => {
    nowMs += SPEED_LIMITS.pauseMs
    const ask = (raw: Uint8Array) =>
      worker.discovery.request(relay.key.nodeId, SPEED_PROTOCOL, raw, { maxBytes: CHUNK_BYTES })
    for (const raw of CORPUS) await expect(ask(raw)).rejects.toBeDefined()
    await expect(ask(new Uint8Array(CHUNK_BYTES + 4_096))).rejects.toBeDefined()
    const id = randomBytes(16)
    expect(await ask(encodeSpeed({ kind: 'down', id, size: CHUNK_BYTES }))).toHaveLength(CHUNK_BYTES)
    expect(await ask(encodeSpeed({ kind: 'up', id, content: randomBytes(1_000) }))).toHaveLength(0)
  }, 20_000)
})

test('requests on the wire', () => {
  const id = new Uint8Array(16).fill(7)
  for (const request of [
    { kind: 'up', id, content: new Uint8Array([1, 2, 3]) },
    { kind: 'down', id, size: CHUNK_BYTES },
  ] as const) {
    expect(decodeSpeed(encodeSpeed(request))).toEqual(request)
    expectOnlyTypedErrors(encodeSpeed(request), decodeSpeed)
  }
  expect(() => decodeSpeed(encodeSpeed({ kind: 'down', id, size: CHUNK_BYTES + 1 }))).toThrow()
  fc.assert(fc.property(damaged(encodeSpeed({ kind: 'down', id, size: 9 })), (raw) => void attempt(raw)))
})

function attempt(raw: Uint8Array): void {
  try {
    const request = decodeSpeed(raw)
    expect(request.kind === 'up' ? request.content.length : request.size).toBeLessThanOrEqual(CHUNK_BYTES)
  } catch {}
}

test('whatever members ask for, a node moves no more than its limits, one measurement at a time', () => {
  const members = Array.from({ length: 4 }, () => generateSigningKey().nodeId)
  const limits = { measurementMs: 10_000, pauseMs: 60_000, measurementBytes: 1_000, minuteBytes: 2_500 }
  const asked = fc.record({
    from: fc.constantFrom(...members),
    id: fc.constantFrom('a', 'b', 'c'),
    bytes: fc.nat(400),
    afterMs: fc.nat(4_000),
  })
  fc.assert(
    fc.property(fc.array(asked, { maxLength: 200 }), (requests) => {
      const allowance = new SpeedAllowance(limits)
      const moved: { key: string; from: string; bytes: number; atMs: number }[] = []
      let nowMs = 0
      for (const { from, id, bytes, afterMs } of requests) {
        nowMs += afterMs
        try {
          allowance.take(from, id, bytes, nowMs)
          moved.push({ key: `${from} ${id}`, from, bytes, atMs: nowMs })
        } catch (error) {
          expect(error).toMatchObject({ code: 'rate-limited' })
        }
      }
      const sum = (some: typeof moved): number => some.reduce((total, { bytes }) => total + bytes, 0)
      const within = (atMs: number, ms: number) => moved.filter((one) => one.atMs >= atMs && one.atMs < atMs + ms)
      for (const [index, { key, atMs }] of moved.entries()) {
        // the desk counts by fixed minutes, of which two may touch
        expect(sum(within(atMs, 60_000))).toBeLessThanOrEqual(2 * limits.minuteBytes)
        const ofKey = moved.filter((one) => one.key === key)
        expect(
          sum(ofKey.filter((one) => one.atMs >= atMs && one.atMs <= atMs + limits.measurementMs)),
        ).toBeLessThanOrEqual(limits.measurementBytes)
        // what another measurement has taken the place of never goes on
        if (index > 0 && moved[index - 1]?.key !== key) {
          expect(ofKey.filter((one) => one.atMs < atMs && one.atMs > atMs - limits.pauseMs)).toEqual([])
        }
      }
      for (const member of members) {
        const measurements = new Set(moved.filter(({ from }) => from === member).map(({ key }) => key)).size
        expect(measurements).toBeLessThanOrEqual(1 + Math.floor(nowMs / limits.pauseMs))
      }
    }),
  )
})

test('what is done in the second half of the time counts', () => {
  expect(speedOf([], 0)).toBe(0)
  expect(speedOf([{ atMs: 5, bytes: 5 }], 5)).toBe(0)
  const steady = Array.from({ length: 100 }, (_, index) => ({ atMs: 10 * (index + 1), bytes: 12_500 }))
  expect(speedOf(steady, 0)).toBeCloseTo(10, 5) // 12,500 bytes each 10 ms are 10 Mbit/s
  const slowStart = steady.map((one) => (one.atMs <= 500 ? { ...one, bytes: 1 } : one))
  expect(speedOf(slowStart, 0)).toBeCloseTo(10, 5)
  expect(speedOf(steady.slice(0, 2), 0)).toBeCloseTo(10, 5) // too few to leave any out
})
