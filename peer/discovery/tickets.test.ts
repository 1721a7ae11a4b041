import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseName } from '@ropewalk/shared/identity'
import type { Startable } from '@ropewalk/shared/lifecycle'
import { silentLogger } from '@ropewalk/shared/logger'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import {
  acceptTicket,
  createDiscoveryMemory,
  createInvite,
  createNetwork,
  createRelayInvite,
  ensureRootMembership,
  openState,
  requireNetwork,
  type State,
} from '../state/index.ts'
import { createDiscovery, type Discovery, type Fetcher } from './index.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 })

let root: string
let running: (Discovery & Startable)[]
let relays: Map<string, Discovery>

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-tickets-'))
  running = []
  relays = new Map()
})
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()))
  await rm(root, { recursive: true, force: true })
})

/** Stands for HTTPS: the relay of a host and port answers with its document. */
const fetcher: Fetcher = async (url) => Buffer.from(JSON.stringify(relays.get(new URL(url).host)?.wellKnown()))

async function run(state: State): Promise<Discovery & Startable> {
  const network = await requireNetwork(state)
  const identity = await state.identity.read()
  const membership = await state.membership.read()
  const bundle = membership?.application?.bundle ?? membership?.bundle
  if (identity === undefined || membership === undefined || bundle === undefined) throw new Error('nothing to run')
  const discovery = createDiscovery(
    {
      network,
      ...identity,
      bundle,
      waysIn: membership.waysIn,
      minRevocationSeq: membership.minRevocationSeq,
      listen: [{ address: '127.0.0.1', port: 0 }],
      mdns: false,
      joinTimeoutMs: 8_000,
      ...(membership.relayUrl === undefined ? {} : { relay: { url: membership.relayUrl, udpPort: 3_478 } }),
    },
    { memory: await createDiscoveryMemory(state, network), logger: silentLogger, fetcher },
  )
  running.push(discovery)
  await discovery.start()
  return discovery
}

async function reached(discovery: Discovery, name: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    if (discovery.member(name)?.state === 'online') resolve()
  }
  const stop = discovery.onChange(look)
  look()
  await promise
  stop()
}

test('from `network create` to two members: tickets, state folders, the relay’s URL, and a restart without a ticket', async () => {
  const nowMs = Date.now()
  const admin = await openState(join(root, 'admin'))
  await createNetwork(admin, { name: parseName('demo'), nowMs })
  const relayTicket = await createRelayInvite(admin, {
    name: parseName('relay'),
    publicHost: '127.0.0.1',
    httpsPort: 4_433,
    nowMs,
  })
  const workerTicket = await createInvite(admin, { name: parseName('worker-a'), nowMs })

  const relayState = await openState(join(root, 'relay'))
  await acceptTicket(relayState, relayTicket, { name: parseName('x'), nowMs })
  const relay = await run(relayState)
  relays.set('127.0.0.1:4433', relay)
  expect(relay.self.record?.relay?.url).toBe('https://127.0.0.1:4433/')

  const workerState = await openState(join(root, 'worker'))
  await acceptTicket(workerState, workerTicket, { name: parseName('x'), nowMs })
  const worker = await run(workerState)
  await reached(worker, 'relay')
  await reached(relay, 'worker-a')
  expect((await workerState.membership.read())?.application).toBeUndefined()
  await worker.stop()

  await acceptTicket(workerState, workerTicket, { name: parseName('x'), nowMs })
  const again = await run(workerState)
  expect(again.self.addresses).toEqual(worker.self.addresses)
  await reached(again, 'relay')

  await ensureRootMembership(admin, { name: parseName('admin'), nowMs: Date.now() })
  const invites = await admin.invites.read()
  const [url] = (invites ?? []).flatMap((one) => one.relay ?? [])
  await admin.membership.update((held) => ({
    waysIn: [],
    minRevocationSeq: 0,
    ...held,
    ...(url === undefined ? {} : { waysIn: [{ kind: 'relay' as const, ...url }] }),
  }))
  const own = await run(admin)
  await reached(own, 'worker-a')
  await own.stop()
  // the root's folder now knows its members: a ticket made here names the relay by what was met
  expect((await admin.members.read())?.length).toBe(3)
})
