import { isRopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, generateWireguardKeys, parseName, type SigningKey } from '@ropewalk/shared/identity'
import { silentLogger } from '@ropewalk/shared/logger'
import { type Bundle, encodeBundle, signRevocations } from '@ropewalk/shared/membership'
import { RECORD_FUTURE_MS, RECORD_TTL_MS } from '@ropewalk/shared/records'
import { beforeEach, describe, expect, test } from 'vitest'
import { admitByRoot } from '../state/index.ts'
import { Intake } from './intake.ts'
import { Registry, type RegistryEvent } from './registry.ts'
import { TestMesh } from './test-mesh.ts'
import { emptyRecord } from './test-records.ts'

const NOW = 1_750_000_000_000

interface Someone {
  readonly key: SigningKey
  readonly bundle: Bundle
}

let mesh: TestMesh
let registry: Registry
let events: RegistryEvent[]
let now: number

beforeEach(() => {
  mesh = new TestMesh(NOW)
  now = NOW
  registry = new Registry({ network: mesh.network, self: generateSigningKey().nodeId, now: () => now })
  events = []
  registry.listen((event) => events.push(event))
})

function someone(name: string, nowMs = NOW, rights: readonly ('relay' | 'admit')[] = []): Someone {
  const identity = { nodeKey: generateSigningKey(), wireguardKeys: generateWireguardKeys() }
  const { bundle } = admitByRoot(mesh.network, identity, mesh.root, { name: parseName(name), tags: [], rights, nowMs })
  return { key: identity.nodeKey, bundle }
}

function record({ key, bundle }: Someone, change: { seq?: number; gone?: boolean } = {}): Uint8Array {
  return emptyRecord(key, bundle, { seq: now, ...change })
}

function codeOf(run: () => unknown): unknown {
  try {
    run()
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

describe('the registry', () => {
  test('never displaces a known holder, whatever date the newcomer shows', () => {
    const [first, second] = [someone('worker'), someone('worker', NOW - 1_000)]
    registry.acceptBundle(first.bundle)
    expect(codeOf(() => registry.acceptBundle(second.bundle))).toBe('name-taken')
    expect(registry.find('worker')?.verified.nodeId).toBe(first.key.nodeId)
  })

  test('takes the earlier of two that it meets at once', async () => {
    const [late, early] = [someone('worker', NOW), someone('worker', NOW - 1_000)]
    const bundles = [late, early].map((one) => encodeBundle(one.bundle))
    await new Intake(registry, silentLogger).take({ kind: 'push', bundles, records: [] }, late.key.nodeId)
    expect(registry.find('worker')?.verified.nodeId).toBe(early.key.nodeId)
  })

  test('says when it lost its own name to an earlier admission', () => {
    const mine = someone('worker', NOW)
    registry = new Registry({ network: mesh.network, self: mine.key.nodeId, now: () => now })
    registry.listen((event) => events.push(event))
    registry.acceptBundle(mine.bundle)
    expect(codeOf(() => registry.acceptBundle(someone('worker', NOW - 1_000).bundle))).toBe('name-taken')
    expect(events.map(({ kind }) => kind)).toContain('lost-claim')
  })

  test('frees what a revoked member held', () => {
    const [first, second] = [someone('worker'), someone('worker')]
    registry.acceptBundle(first.bundle)
    registry.acceptRevocations(
      signRevocations(mesh.network, undefined, { nodes: [first.key.nodeId], nowMs: NOW }, mesh.root).bytes,
    )
    expect(codeOf(() => registry.acceptBundle(first.bundle))).toBe('revoked')
    expect(codeOf(() => registry.acceptBundle(second.bundle))).toBe('accepted')
  })

  test('takes no member whose name has the form of a node id, and looks for a node id nowhere else', () => {
    const [victim, liar] = [someone('worker'), someone('x'.repeat(52))]
    const { nodeId } = victim.key
    // past the signer, which would not write it; the form is looked at before the signature
    const certificate = Buffer.from(liar.bundle.certificate)
    certificate.write(nodeId.toLowerCase(), certificate.indexOf('x'.repeat(52)), 'latin1')
    expect(codeOf(() => registry.acceptBundle({ ...liar.bundle, certificate }))).toBe('bad-statement')
    registry.acceptBundle(victim.bundle)
    expect(registry.find(nodeId)?.verified.name).toBe('worker')
    registry.acceptRevocations(
      signRevocations(mesh.network, undefined, { nodes: [nodeId], nowMs: NOW }, mesh.root).bytes,
    )
    expect(registry.find(nodeId)).toBeUndefined()
    expect(registry.find(nodeId.toLowerCase())).toBeUndefined()
  })

  test('takes only newer records of members, signed by themselves and not from the future', () => {
    const [member, stranger] = [someone('worker'), someone('stranger')]
    registry.acceptBundle(member.bundle)
    expect(codeOf(() => registry.acceptRecord(record(stranger)))).toBe('not-admitted')
    expect(registry.acceptRecord(record(member))).toBe(true)
    expect(registry.acceptRecord(record(member))).toBe(false)
    expect(registry.acceptRecord(record(member, { seq: NOW - 1 }))).toBe(false)
    expect(codeOf(() => registry.acceptRecord(record(member, { seq: NOW + RECORD_FUTURE_MS + 1 })))).toBe('clock-skew')
    const forged = record({ key: stranger.key, bundle: member.bundle }, { seq: NOW + 5 })
    expect(codeOf(() => registry.acceptRecord(forged))).toBe('not-admitted')
  })

  test('tells every state once: online, silent by word or by time, gone', () => {
    const member = someone('worker')
    registry.acceptBundle(member.bundle)
    registry.acceptRecord(record(member))
    registry.fellSilent(member.key.nodeId, NOW - 1) // of an older record: no news
    registry.fellSilent(member.key.nodeId, NOW)
    registry.fellSilent(member.key.nodeId, NOW)
    registry.heard(member.key.nodeId)
    now = NOW + RECORD_TTL_MS + 1
    registry.sweep()
    registry.sweep()
    registry.acceptRecord(record(member, { gone: true }))
    const states = events.flatMap((event) => (event.kind === 'state' ? event.member.state : []))
    expect(states).toEqual(['online', 'silent', 'online', 'silent', 'gone'])
  })

  test('lets go of members whose admission ended', () => {
    const member = someone('worker')
    registry.acceptBundle(member.bundle)
    now = NOW + 31 * 24 * 3_600_000
    registry.sweep()
    expect(registry.find('worker')).toBeUndefined()
    expect(events.at(-1)).toMatchObject({ kind: 'removed', why: 'left' })
  })

  test('has one digest for one content, whatever the order', () => {
    const all = [someone('a'), someone('b'), someone('c')]
    const other = new Registry({ network: mesh.network, self: registry.self, now: () => now })
    for (const one of all) registry.acceptBundle(one.bundle)
    for (const one of all.toReversed()) other.acceptBundle(one.bundle)
    expect(registry.digest()).toEqual(other.digest())
    registry.heard(all[0]?.key.nodeId ?? registry.self)
    expect(registry.digest()).toEqual(other.digest())
    const [first] = all
    if (first !== undefined) registry.acceptRecord(record(first))
    expect(registry.digest()).not.toEqual(other.digest())
  })
})
