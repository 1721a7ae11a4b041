import { signRevocations } from '@ropewalk/shared/membership'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { nextEvent, portOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'

vi.setConfig({ testTimeout: 40_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

const MONTH_MS = 31 * 24 * 3_600_000

let mesh: TestMesh
let relay: TestNode
let aheadMs: number
const now = (): number => Date.now() + aheadMs

beforeEach(async () => {
  aheadMs = 0
  mesh = new TestMesh()
  relay = mesh.admitted('relay', { now })
  await relay.discovery.start()
})
afterEach(() => mesh.stop())

const online = (node: TestNode, name: string): boolean => node.discovery.member(name)?.state === 'online'

describe('an admission that lapsed', () => {
  test('is renewed at the door when a process slept through its end, without a restart or a ticket', async () => {
    const worker = mesh.joiner('worker', { waysIn: [wayTo(relay)], now })
    await worker.discovery.start()
    await until(relay, () => online(relay, 'worker'), 'the relay sees the worker')
    const { admission } = worker.discovery.self
    const left = nextEvent(relay, 'left')
    aheadMs = MONTH_MS
    expect((await left).member.name).toBe('worker')
    expect((await worker.log.line('the admission was renewed at the door', 0, 20_000)).message).toBeDefined()
    await until(relay, () => online(relay, 'worker'), 'the relay sees it again', 15_000)
    await until(worker, () => online(worker, 'relay'), 'it sees the relay again', 15_000)
    const renewed = worker.discovery.self.admission
    expect(renewed).toMatchObject({ sinceMs: admission.sinceMs, use: admission.use })
    expect(renewed.admittedAtMs).toBeGreaterThan(admission.notAfterMs)
  })

  test('is renewed by an admitter that never saw its bearer, unless it is revoked by then', async () => {
    const worker = mesh.joiner('worker', { waysIn: [wayTo(relay)], now })
    const other = mesh.joiner('other', { waysIn: [wayTo(relay)], now })
    await Promise.all([worker.discovery.start(), other.discovery.start()])
    await until(worker, () => online(worker, 'other'), 'the worker sees the other')
    await Promise.all([relay, worker, other].map(({ discovery }) => discovery.stop()))
    aheadMs = MONTH_MS
    const second = mesh.admitted('second', { now })
    await second.discovery.start()
    // what the root signed lets the second relay judge the first one's word
    await mesh.again(relay, { now, waysIn: [wayTo(second)] }).discovery.start()
    await until(second, () => online(second, 'relay'), 'the relays know each other', 15_000)
    const list = signRevocations(mesh.network, undefined, { nodes: [other.key.nodeId], nowMs: now() }, mesh.root)
    await second.discovery.revoke(list.bytes)
    const back = mesh.again(worker, { now, waysIn: [wayTo(second)] })
    await back.discovery.start()
    expect(back.discovery.self.admission.admitter).toBe(second.key.nodeId)
    const out = mesh.again(other, { now, waysIn: [wayTo(second)] })
    await expect(out.discovery.start()).rejects.toMatchObject({ code: 'revoked' })
    expect(second.log.codes('refused an applicant')).toContain('revoked')
  })
})

describe('a revoked admitter', () => {
  let helper: TestNode
  beforeEach(async () => {
    helper = mesh.joiner('helper', { waysIn: [wayTo(relay)], now }, mesh.invite({ rights: ['admit'] }))
    await helper.discovery.start()
    await until(helper, () => online(helper, 'relay'), 'the helper sees the relay')
  })
  const revokeHelper = (nowMs: number): Promise<unknown> =>
    relay.discovery.revoke(
      signRevocations(mesh.network, undefined, { nodes: [helper.key.nodeId], nowMs }, mesh.root).bytes,
    )

  test('leaves whom it let in before: they stay, are renewed by another, and are known after a restart', async () => {
    const worker = mesh.joiner('worker', { waysIn: [wayTo(helper)], now })
    await worker.discovery.start()
    await until(relay, () => online(relay, 'worker'), 'the relay sees the worker')
    await until(worker, () => online(worker, 'relay'), 'the worker sees the relay')
    const seen: string[] = []
    relay.discovery.onChange((event) => {
      if ('member' in event && event.member.name === 'worker') seen.push(event.kind)
    })
    await revokeHelper(Date.now())
    expect(relay.discovery.member('worker')).toBeDefined()
    await until(worker, () => worker.discovery.self.admission.admitter === relay.key.nodeId, 'renewed', 15_000)
    expect(seen).not.toContain('left')
    const newcomer = mesh.joiner('newcomer', { waysIn: [wayTo(relay)], now })
    await newcomer.discovery.start()
    await until(newcomer, () => online(newcomer, 'worker'), 'a newcomer believes it')
  })

  test('is not forgotten over a restart of those who knew whom it let in', async () => {
    const worker = mesh.joiner('worker', { waysIn: [wayTo(helper)], now })
    await worker.discovery.start()
    await until(relay, () => online(relay, 'worker'), 'the relay sees the worker')
    await worker.discovery.stop()
    await revokeHelper(Date.now())
    const port = portOf(relay)
    await relay.discovery.stop()
    const again = mesh.again(relay, { port, now })
    await again.discovery.start()
    expect(again.discovery.member('worker')?.admission.admitter).toBe(helper.key.nodeId)
    const back = mesh.again(worker, { now, waysIn: [wayTo(again)] })
    await back.discovery.start()
    await until(back, () => back.discovery.self.admission.admitter === relay.key.nodeId, 'renewed', 15_000)
  })

  test('lets nobody in after its revocation: who got in meanwhile is cut, and asks another door', async () => {
    const late = mesh.joiner('late', { waysIn: [wayTo(helper), wayTo(relay)], now })
    // the helper is not told yet: the list says since when
    const since = Date.now() - 60_000
    const lone = mesh.joiner('lone', { waysIn: [wayTo(helper)], now })
    await lone.discovery.start()
    await until(relay, () => online(relay, 'lone'), 'the relay sees who got in')
    const left = nextEvent(relay, 'left')
    await revokeHelper(since)
    expect((await left).member.name).toBe('lone')
    expect(relay.log.codes('cut who is no member any more')).toEqual(['not-admitted'])
    await late.discovery.start()
    expect(late.discovery.self.admission.admitter).toBe(relay.key.nodeId)
  })
})
