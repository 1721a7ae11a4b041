import { connect } from 'node:net'
import { lpStream } from '@libp2p/utils'
import { CORPUS, damaged } from '@ropewalk/shared/hostile'
import { generateSigningKey, generateWireguardKeys } from '@ropewalk/shared/identity'
import { encodeBundle } from '@ropewalk/shared/membership'
import {
  ADMIT_PROTOCOL,
  encodeSync,
  REPORT_PROTOCOL,
  SIGNAL_PROTOCOL,
  SYNC_PROTOCOL,
  type SyncMessage,
} from '@ropewalk/shared/records'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { RogueHost } from './rogue-host.ts'
import { addressOf, portOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

let mesh: TestMesh
let relay: TestNode
let worker: TestNode
let rogue: RogueHost
let rogueNode: TestNode

beforeEach(async () => {
  mesh = new TestMesh()
  relay = mesh.admitted('relay')
  await relay.discovery.start()
  worker = mesh.joiner('worker', { waysIn: [wayTo(relay)] })
  await worker.discovery.start()
  rogueNode = mesh.admitted('rogue', { rights: [] })
  rogue = await RogueHost.create(mesh.network, rogueNode.key, rogueNode.memory.bundle)
})
afterEach(async () => {
  await rogue.stop()
  await mesh.stop()
})

/** Whether the mesh still works beside all of it: a newcomer joins and the worker hears of it. */
async function expectHealthy(name: string): Promise<void> {
  const newcomer = mesh.joiner(name, { waysIn: [wayTo(relay)] })
  await newcomer.discovery.start()
  await until(worker, () => worker.discovery.member(name)?.state === 'online', `the worker hears of ${name}`)
}

async function shoot(protocol: string, raw: Uint8Array): Promise<void> {
  try {
    const stream = await rogue.stream(addressOf(relay), protocol)
    await lpStream(stream).write(raw)
    await stream.close({ signal: AbortSignal.timeout(1_000) })
  } catch {
    // refused or reset: the relay's right
  }
}

describe('a hostile member', () => {
  test('does no harm with malformed messages of any protocol', async () => {
    const none = [0, new Uint8Array()] as const
    const hello: SyncMessage = {
      kind: 'hello',
      revocations: none,
      policy: none,
      bundle: encodeBundle(rogueNode.memory.bundle),
      have: [],
    }
    const shots = [...CORPUS, ...fc.sample(damaged(encodeSync(hello)), 50)]
    for (const protocol of [SYNC_PROTOCOL, SIGNAL_PROTOCOL, REPORT_PROTOCOL, ADMIT_PROTOCOL]) {
      for (const raw of shots) await shoot(protocol, raw)
    }
    await expectHealthy('after-noise')
    expect(relay.log.codes('a neighbour sent what it must not').length).toBeGreaterThan(0)
  }, 60_000)

  test('cannot tell of members that were never admitted, nor speak for others', async () => {
    const [key, keys] = [generateSigningKey(), generateWireguardKeys()]
    const forged = mesh.apply('ghost', key, keys)
    const push = (bundles: readonly Uint8Array[], records: readonly Uint8Array[]) =>
      encodeSync({ kind: 'push', bundles, records })
    await shoot(SYNC_PROTOCOL, push([encodeBundle(forged)], []))
    await shoot(SYNC_PROTOCOL, encodeSync({ kind: 'silence', nodes: [[worker.key.nodeId, Number.MAX_SAFE_INTEGER]] }))
    await expectHealthy('after-forgery')
    expect(relay.discovery.member('ghost')).toBeUndefined()
    expect(relay.discovery.member('worker')?.state).toBe('online')
  })

  test('that claims a gigantic frame is dropped', async () => {
    const stream = await rogue.stream(addressOf(relay), SYNC_PROTOCOL)
    stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3))
    await relay.log.line('a neighbour sent what it must not')
    await expectHealthy('after-giant')
  })
})

describe('the libp2p port', () => {
  test('survives bytes that are no libp2p at all', async () => {
    const shots = [
      ...CORPUS,
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      ...fc.sample(fc.uint8Array({ maxLength: 2_000 }), 60),
    ]
    await Promise.all(
      shots.map(
        (raw) =>
          new Promise<void>((resolve) => {
            const socket = connect(portOf(relay), '127.0.0.1', () => socket.end(raw))
            socket.on('close', () => resolve())
            socket.on('error', () => resolve())
            socket.resume()
          }),
      ),
    )
    await expectHealthy('after-bytes')
  }, 60_000)
})
