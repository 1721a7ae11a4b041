import { lpStream } from '@libp2p/utils'
import { CORPUS, damaged, heldBytes } from '@ropewalk/shared/hostile'
import { encodeBundle } from '@ropewalk/shared/membership'
import {
  ADMIT_PROTOCOL,
  encodeSync,
  REPORT_PROTOCOL,
  SIGNAL_PROTOCOL,
  SYNC_PROTOCOL,
  signReport,
} from '@ropewalk/shared/records'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { RogueHost } from './rogue-host.ts'
import { addressOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'
import { recordOf } from './test-records.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 30_000 })

/** At each of five doors, over 25,000 in all. */
const SHOTS = 5_000
/** The first wrong word on a sync stream costs the sender its connection, and each needs a new handshake. */
const SYNC_SHOTS = 500
const WARM_UP = 500
const AT_ONCE = 32
const ECHO = '/test/echo/1'

let mesh: TestMesh
let relay: TestNode
let member: TestNode
let rogueNode: TestNode
let rogue: RogueHost

beforeAll(async () => {
  mesh = new TestMesh()
  relay = mesh.admitted('relay')
  relay.discovery.handle(ECHO, { maxBytes: 100 }, async (request) => request)
  await relay.discovery.start()
  member = mesh.joiner('member', { waysIn: [wayTo(relay)] })
  await member.discovery.start()
  rogueNode = mesh.admitted('rogue', { rights: [] })
  rogue = await RogueHost.create(mesh.network, rogueNode.key, rogueNode.memory.bundle)
})
afterAll(async () => {
  await rogue.stop()
  await mesh.stop()
})

let sent = 0

/** One stream with one message; what becomes of it is the relay's affair. */
async function shoot(protocol: string, raw: Uint8Array): Promise<void> {
  try {
    const stream = await rogue.stream(addressOf(relay), protocol)
    stream.addEventListener('message', () => undefined)
    await lpStream(stream).write(raw, { signal: AbortSignal.timeout(2_000) })
    sent++
    await stream.close({ signal: AbortSignal.timeout(2_000) })
  } catch {
    // refused, reset, or over the limit of streams: counted by what was not sent
  }
}

async function shootAll(protocol: string, shots: readonly Uint8Array[], atOnce: number): Promise<void> {
  const queue = shots.values()
  const work = async (): Promise<void> => {
    for (const raw of queue) await shoot(protocol, raw)
  }
  await Promise.all(Array.from({ length: atOnce }, work))
}

/** Asks as an honest member all the while; gives the slowest answer in ms. */
function askAlong(): { stop(): Promise<{ answers: number; slowestMs: number }> } {
  let going = true
  const asking = (async () => {
    let [answers, slowestMs] = [0, 0]
    while (going) {
      const began = performance.now()
      const answer = await member.discovery.request(relay.key.nodeId, ECHO, Buffer.from('hello'))
      expect(Buffer.from(answer).toString()).toBe('hello')
      slowestMs = Math.max(slowestMs, performance.now() - began)
      answers++
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return { answers, slowestMs }
  })()
  return {
    stop: () => {
      going = false
      return asking
    },
  }
}

const none = [0, new Uint8Array()] as const
const doors: readonly (readonly [string, () => Uint8Array])[] = [
  [
    SYNC_PROTOCOL,
    () => {
      const bundle = encodeBundle(rogueNode.memory.bundle)
      return encodeSync({
        kind: 'hello',
        revocations: none,
        policy: none,
        bundle,
        record: recordOf(rogueNode),
        have: [],
      })
    },
  ],
  [SIGNAL_PROTOCOL, () => Uint8Array.of(0x82, 0x00, 0xa1, 0x01, 0x44, 1, 2, 3, 4)],
  [REPORT_PROTOCOL, () => signReport({ seq: 1, atMs: Date.now(), links: [] }, rogueNode.key).bytes],
  [ADMIT_PROTOCOL, () => encodeBundle(rogueNode.memory.bundle)],
  [ECHO, () => Buffer.from('x'.repeat(80))],
  ['/ropewalk/kad/1.0.0', () => Buffer.concat([Uint8Array.of(8, 1, 0x12, 32), Buffer.alloc(32, 7)])],
]

test.each(doors)(
  '%s takes thousands of malformed messages, a member beside them is answered',
  async (protocol, valid) => {
    const [count, atOnce] = protocol === SYNC_PROTOCOL ? [SYNC_SHOTS, 1] : [SHOTS, AT_ONCE]
    const shots = [...CORPUS, ...fc.sample(damaged(valid()), { numRuns: count, seed: 5 })]
    await shootAll(protocol, shots.slice(0, WARM_UP), atOnce)
    sent = 0
    const before = heldBytes()
    const along = askAlong()
    const began = performance.now()
    await shootAll(protocol, shots, atOnce)
    const took = performance.now() - began
    const { answers, slowestMs } = await along.stop()
    await vi.waitFor(() => expect(heldBytes() - before).toBeLessThan(24 * 1_024 * 1_024), {
      timeout: 40_000,
      interval: 2_000,
    })
    const grown = (heldBytes() - before) / 1_024
    console.log(
      `${protocol}: ${sent} of ${shots.length} sent in ${Math.round(took)} ms, ${answers} answers beside, slowest ${Math.round(slowestMs)} ms, heap ${Math.round(grown)} KiB more`,
    )
    expect(sent).toBeGreaterThan(shots.length * 0.9)
    expect(answers).toBeGreaterThan(5)
    expect(slowestMs).toBeLessThan(4_000)
    await until(relay, () => relay.discovery.member('member')?.state === 'online', 'the member is still there')
  },
)
