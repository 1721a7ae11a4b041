import { randomBytes } from 'node:crypto'
import { parseAddress, parsePrefix } from '@ropewalk/shared/addressing'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { expectOnlyTypedErrors } from '@ropewalk/shared/hostile'
import { generateSigningKey, generateWireguardKeys, nodeIdOf } from '@ropewalk/shared/identity'
import { certificateHashOf } from '@ropewalk/shared/membership'
import { serviceSchema } from '@ropewalk/shared/policy'
import { TIERS } from '@ropewalk/shared/runtime'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeAdmitAnswer,
  decodeEnvelope,
  decodeSignal,
  decodeSync,
  ENVELOPE_LIFETIME_MS,
  encodeAdmitAnswer,
  encodeEnvelope,
  encodeSignal,
  encodeSync,
  MAX_ENVELOPE_CONTENT_BYTES,
  MAX_SYNC_BYTES,
  type NodeRecord,
  nextSeq,
  openEnvelope,
  openRecord,
  openReport,
  PUSH_CHUNK,
  peekRecord,
  type SyncMessage,
  sealEnvelope,
  signRecord,
  signReport,
} from './index.ts'

/** Host keys as sshd has them, with random key material. */
const hostKey = (algorithm: string, length: number): string => {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(algorithm.length)
  return `${algorithm} ${Buffer.concat([head, Buffer.from(algorithm), randomBytes(length)]).toString('base64')}`
}
const HOST_KEYS = [hostKey('ssh-ed25519', 36), hostKey('ecdsa-sha2-nistp256', 81), hostKey('ssh-rsa', 400)]

const NOW = 1_750_000_000_000
const key = generateSigningKey()
const bytes = (length: number, max = length) => fc.uint8Array({ minLength: length, maxLength: max })
const nodeId = bytes(32).map(nodeIdOf)
const address = fc.oneof(fc.ipV4(), fc.ipV6()).map(parseAddress)
const port = fc.integer({ min: 1, max: 65_535 })
const candidate = fc.record({
  address,
  port,
  kind: fc.constantFrom('host' as const, 'reflexive' as const, 'mapped' as const),
  priority: fc.nat(65_535),
})
const record: fc.Arbitrary<Omit<NodeRecord, 'nodeId'>> = fc.record(
  {
    certificateHash: bytes(32).map(certificateHashOf),
    seq: fc.maxSafeNat(),
    ttlMs: fc.nat(3_600_000),
    addresses: fc.array(fc.constantFrom('/ip4/10.0.0.1/tcp/4000', '/ip6/::1/tcp/1'), { maxLength: 4 }),
    candidates: fc.array(candidate, { maxLength: 6 }),
    nat: fc.constantFrom('unknown' as const, 'easy' as const, 'hard' as const),
    relays: fc.array(nodeId, { maxLength: 2 }),
    services: fc.array(
      fc.record({
        name: fc.constantFrom('ssh', 'jupyter'),
        port,
        protocol: fc.constantFrom('tcp' as const, 'udp' as const),
      }),
      { maxLength: 3 },
    ),
    sshHostKeys: fc.subarray(HOST_KEYS),
    routes: fc.constant([parsePrefix('10.1.0.0/16')]),
    neighbours: fc.array(nodeId, { maxLength: 8 }),
    relay: fc.record({ url: fc.constant('https://relay.example:443/'), udpPort: port }),
    gone: fc.boolean(),
    offer: fc.record(
      {
        ray: fc.constant('2.60.0'),
        cpus: fc.integer({ min: 1, max: 4_096 }),
        memoryMiB: fc.nat(67_108_864),
        diskGiB: fc.nat(1_048_576),
        gpus: fc.array(fc.record({ model: fc.constant('NVIDIA H200'), memoryMiB: fc.nat(16_777_216) }), {
          maxLength: 8,
        }),
        tier: fc.constantFrom(...TIERS),
        maxLeaseMinutes: fc.integer({ min: 1, max: 525_600 }),
        leases: fc.nat(255),
      },
      { requiredKeys: ['ray', 'cpus', 'memoryMiB', 'diskGiB', 'gpus', 'maxLeaseMinutes', 'leases'] },
    ),
  },
  {
    requiredKeys: [
      'certificateHash',
      'seq',
      'ttlMs',
      'addresses',
      'candidates',
      'nat',
      'relays',
      'services',
      'sshHostKeys',
      'routes',
      'neighbours',
    ],
  },
)
const holding = fc.record({ nodeId, seq: fc.maxSafeNat(), admittedAtMs: fc.maxSafeNat() })
const version = fc.tuple(fc.nat(), bytes(0, 32))
const message: fc.Arbitrary<SyncMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    revocations: version,
    policy: version,
    bundle: bytes(1, 99),
    have: fc.array(holding),
  }),
  fc.record({ kind: fc.constant('push' as const), bundles: fc.array(bytes(1, 99)), records: fc.array(bytes(1, 99)) }),
  fc.record({ kind: fc.constant('digest' as const), hash: bytes(32) }),
  fc.record({ kind: fc.constant('have' as const), revocations: version, policy: version, have: fc.array(holding) }),
  fc.record({ kind: fc.constant('pull' as const), nodes: fc.array(nodeId) }),
)

function codeOf(run: () => unknown): unknown {
  try {
    run()
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

describe('a node record', () => {
  test('is read back as it was signed', () => {
    fc.assert(
      fc.property(record, (value) => {
        const opened = openRecord(signRecord(value, key).bytes)
        expect(opened.body).toEqual({ ...value, nodeId: key.nodeId })
        expect(peekRecord(opened.bytes)).toEqual({ nodeId: key.nodeId, seq: value.seq })
      }),
    )
  })

  test('over 2 KiB cannot be made', () => {
    const [value] = fc.sample(record, 1)
    if (value === undefined) throw new Error('no sample')
    expect(
      codeOf(() => signRecord({ ...value, sshHostKeys: ['x'.repeat(700), 'y'.repeat(700), 'z'.repeat(700)] }, key)),
    ).toBe('too-large')
  })

  test('carries SSH host keys that can be nothing else', () => {
    const [value] = fc.sample(record, 1)
    const [good = '', ecdsa = ''] = HOST_KEYS
    if (value === undefined) throw new Error('no sample')
    const read = (text: string) => codeOf(() => openRecord(signRecord({ ...value, sshHostKeys: [text] }, key).bytes))
    for (const one of HOST_KEYS) expect(read(one)).toBe('accepted')
    const bad = [
      `${good} root@worker`,
      `${good}\n* ${ecdsa}`,
      `${good}\n`,
      `@cert-authority * ${good}`,
      good.replace(' ', '  '),
      good.replace(' ', '\t'),
      good.replace('ssh-ed25519', 'ssh-rsa'),
      `ssh-dss ${good.slice(12)}`,
      good.slice(0, -1),
      `${good.slice(0, -1)}\u212a`,
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5',
      'ssh-ed25519',
      hostKey('ssh-ed25519-cert-v01@openssh.com', 40),
      hostKey('ssh-rsa', 700),
    ]
    for (const one of bad) expect(read(one), one).toBe('bad-statement')
  })

  test('names services as the API does', () => {
    const [value] = fc.sample(record, 1)
    if (value === undefined) throw new Error('no sample')
    fc.assert(
      fc.property(fc.oneof(fc.stringMatching(/^[a-z0-9-]{0,34}$/), fc.string({ maxLength: 34 })), (name) => {
        const service = { name, port: 22, protocol: 'tcp' as const }
        const code = codeOf(() => openRecord(signRecord({ ...value, sshHostKeys: [], services: [service] }, key).bytes))
        expect(code === 'accepted').toBe(serviceSchema.safeParse({ ...service, http: false }).success)
      }),
    )
  })

  test('has a seq that rises even when the clock falls back', () => {
    expect(nextSeq(undefined, NOW)).toBe(NOW)
    expect(nextSeq(NOW + 5, NOW)).toBe(NOW + 6)
  })
})

describe('sync messages', () => {
  test('are read back as they were written', () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(decodeSync(encodeSync(value))).toEqual(value)
      }),
    )
  })

  test('of the largest network stay under their limit', () => {
    const id = key.nodeId
    const have = Array.from({ length: 10_000 }, () => ({ nodeId: id, seq: NOW, admittedAtMs: NOW }))
    const hello = {
      kind: 'hello',
      revocations: [0, new Uint8Array()],
      policy: [0, new Uint8Array()],
      bundle: new Uint8Array(2_048),
      have,
    } as const
    expect(encodeSync(hello).length).toBeLessThan(MAX_SYNC_BYTES / 2)
    const full = Array.from({ length: PUSH_CHUNK }, () => new Uint8Array(2_048))
    const push = {
      kind: 'push',
      bundles: full,
      records: full,
      revocations: new Uint8Array(512 * 1_024),
      policy: new Uint8Array(64 * 1_024),
    } as const
    expect(encodeSync(push).length).toBeLessThan(MAX_SYNC_BYTES)
  })
})

describe('an envelope', () => {
  const recipient = { nodeId: generateSigningKey().nodeId, keys: generateWireguardKeys() }
  const to = { nodeId: recipient.nodeId, wireguardKey: recipient.keys.publicKey }
  const seal = (content: Uint8Array) => sealEnvelope({ from: key, to, content, nowMs: NOW })

  test('is opened by its recipient, whatever carries it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (content) => {
        const carried = decodeEnvelope(encodeEnvelope({ ...seal(content), hopsLeft: 1 }))
        expect(carried).toMatchObject({ from: key.nodeId, to: recipient.nodeId, hopsLeft: 1 })
        expect(openEnvelope(carried, recipient, NOW)).toEqual(content)
      }),
      { numRuns: 50 },
    )
  })

  test('shows nobody else what is inside', () => {
    const canary = Buffer.from('canary-canary-canary')
    expect(Buffer.from(encodeEnvelope(seal(canary))).includes(canary)).toBe(false)
    const envelope = seal(canary)
    expect(codeOf(() => openEnvelope(envelope, { ...recipient, keys: generateWireguardKeys() }, NOW))).toBe('bad-input')
    expect(codeOf(() => openEnvelope(envelope, { ...recipient, nodeId: key.nodeId }, NOW))).toBe('wrong-key')
  })

  test('does not outlive its time, and cannot be overfilled', () => {
    expect(codeOf(() => openEnvelope(seal(Uint8Array.of(1)), recipient, NOW + ENVELOPE_LIFETIME_MS + 1))).toBe(
      'clock-skew',
    )
    expect(codeOf(() => seal(new Uint8Array(MAX_ENVELOPE_CONTENT_BYTES + 1)))).toBe('too-large')
    expect(codeOf(() => encodeEnvelope(seal(new Uint8Array(MAX_ENVELOPE_CONTENT_BYTES))))).toBe('accepted')
  })

  test('with any bit changed does not open', () => {
    const raw = encodeEnvelope(seal(Uint8Array.of(1, 2, 3)))
    for (let i = 0; i < raw.length; i++) {
      const changed = new Uint8Array(raw)
      changed[i] = (changed[i] ?? 0) ^ 4
      const code = codeOf(() => openEnvelope(decodeEnvelope(changed), recipient, NOW))
      expect(code, `byte ${i}`).toMatch(/^bad-|^accepted$/)
      if (code === 'accepted') expect(decodeEnvelope(changed).hopsLeft).not.toBe(3) // the hop count is the carriers'
    }
  })
})

describe('every codec of discovery', () => {
  test('meets hostile bytes with typed errors only', () => {
    const [value] = fc.sample(record, 1)
    if (value === undefined) throw new Error('no sample')
    const links = [{ peer: key.nodeId, kind: 'direct', state: 'active', rttUs: 900 }] as const
    const recipient = { nodeId: key.nodeId, keys: generateWireguardKeys() }
    const to = { nodeId: key.nodeId, wireguardKey: recipient.keys.publicKey }
    const envelope = sealEnvelope({ from: key, to, content: Uint8Array.of(1), nowMs: NOW })
    const signal = {
      kind: 'call',
      round: new Uint8Array(8),
      candidates: value.candidates,
      nat: 'easy',
      relays: [],
    } as const
    expectOnlyTypedErrors(signRecord(value, key).bytes, openRecord)
    expectOnlyTypedErrors(signReport({ seq: 1, atMs: NOW, links }, key).bytes, openReport)
    expectOnlyTypedErrors(encodeEnvelope(envelope), (raw) => openEnvelope(decodeEnvelope(raw), recipient, NOW))
    expectOnlyTypedErrors(encodeSignal(signal), decodeSignal)
    expectOnlyTypedErrors(encodeAdmitAnswer({ kind: 'refused', code: 'revoked', message: 'no' }), decodeAdmitAnswer)
    for (const sample of fc.sample(message, 10)) expectOnlyTypedErrors(encodeSync(sample), decodeSync, 300)
  }, 30_000)
})
