import { randomBytes } from 'node:crypto'
import { type DEFAULT_IPV4_PREFIX, ipv4Of } from '@ropewalk/shared/addressing'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { expectOnlyTypedErrors } from '@ropewalk/shared/hostile'
import { generateSigningKey, type NodeId, parseName, parseTag, type SigningKey } from '@ropewalk/shared/identity'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  ADMISSION_LIFETIME_MS,
  type Bundle,
  CLOCK_TOLERANCE_MS,
  type Claim,
  claimOf,
  createAdmitter,
  decodeBundle,
  encodeBundle,
  foundNetwork,
  type Invite,
  inviteIdOf,
  type Network,
  newerRevocations,
  openCertificate,
  openInvite,
  openNetwork,
  openPolicy,
  openRevocations,
  type Revocations,
  signPolicy,
  signRevocations,
  signToken,
  type VerifiedMember,
  type VerifierView,
  verifyApplicant,
  verifyAuthority,
  verifyMember,
  verifyToken,
} from './index.ts'
import {
  admit,
  apply,
  codeOf,
  DAY,
  HOUR,
  makeInvite,
  makeNetwork,
  NOW,
  type Person,
  person,
  root,
} from './test-members.ts'

let network: Network
let revocations: Revocations | undefined
let admitters: Set<NodeId>
let knownCertificates: Set<string>
let nowMs: number
const view = (): VerifierView => ({
  network,
  nowMs,
  revocations,
  mayAdmit: (id) => admitters.has(id),
  knows: (certificate) => knownCertificates.has(certificate),
})

beforeEach(() => {
  network = makeNetwork()
  revocations = undefined
  admitters = new Set()
  knownCertificates = new Set()
  nowMs = NOW
})

async function codeOfAsync(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

/** An admitter with a memory, as a relay or the root's peer has one. */
function makeAdmitter(key: SigningKey = root) {
  const held: Claim[] = []
  const members: VerifiedMember[] = []
  const store = {
    claims: () => held,
    put: async (claim: Claim) => {
      await Promise.resolve()
      const index = held.findIndex((one) => one.nodeId === claim.nodeId)
      held.splice(index < 0 ? held.length : index, index < 0 ? 0 : 1, claim)
    },
  }
  const admitter = createAdmitter({ key }, { store, view, members: () => members.map(claimOf) })
  return { admitter, held, members }
}

describe('a verifier', () => {
  test('accepts a member that an admitter let in, and says who it is', () => {
    const [relay, worker] = [person(), person()]
    const relayBundle = admit(
      network,
      apply(network, makeInvite(network, { rights: ['relay'] }), relay, { name: 'relay' }),
      root,
    )
    expect(verifyAuthority(relayBundle, view()).name).toBe('relay')
    admitters.add(relay.node.nodeId)
    const bundle = admit(network, apply(network, makeInvite(network), worker, { tags: ['worker'] }), relay.node)
    const member = verifyMember(bundle, view(), worker.node.nodeId)
    expect(member).toMatchObject({ nodeId: worker.node.nodeId, name: 'worker-a', tags: ['worker'], rights: [] })
  })

  test('refuses each stranger with its own reason', () => {
    const worker = person()
    const mine = apply(network, makeInvite(network), worker)
    const good = admit(network, mine, root)
    const check = (bundle: Bundle, proven = worker.node.nodeId) => codeOf(() => verifyMember(bundle, view(), proven))
    expect(check(good)).toBe('accepted')
    expect(check(mine)).toBe('not-admitted')
    expect(check(good, generateSigningKey().nodeId)).toBe('wrong-key')
    expect(check(admit(network, mine, generateSigningKey()))).toBe('not-admitted')
    expect(check(admit(network, mine, worker.node))).toBe('not-admitted')
    expect(check(admit(network, mine, root, { use: 2 }))).toBe('ticket-used')
    expect(check(admit(network, mine, root, { admittedAtMs: NOW + 2 * CLOCK_TOLERANCE_MS }))).toBe('clock-skew')
    expect(check(admit(network, mine, root, { sinceMs: NOW - DAY }))).toBe('ticket-expired')
    expect(check(admit(network, mine, root, { notAfterMs: NOW + ADMISSION_LIFETIME_MS + 1 }))).toBe('bad-statement')
    const other = admit(network, apply(network, makeInvite(network), person()), root)
    expect(check({ ...good, admission: other.admission })).toBe('not-admitted')
    expect(check({ ...good, invite: other.invite })).toBe('bad-signature')
    for (const part of ['certificate', 'invite', 'admission'] as const) {
      const tampered = new Uint8Array(good[part] ?? new Uint8Array())
      tampered[tampered.length - 3] = (tampered[tampered.length - 3] ?? 0) ^ 1
      expect(check({ ...good, [part]: tampered })).toBe('bad-signature')
    }
    nowMs = NOW + ADMISSION_LIFETIME_MS + CLOCK_TOLERANCE_MS
    expect(check(good)).toBe('accepted')
    nowMs++
    expect(check(good)).toBe('certificate-expired')
  })

  test('refuses another network’s members, even under the same root key', () => {
    const worker = person()
    const elsewhere = makeNetwork('other')
    const bundle = admit(elsewhere, apply(elsewhere, makeInvite(elsewhere), worker), root)
    expect(codeOf(() => verifyMember(bundle, view()))).toBe('wrong-network')
    const here = apply(network, makeInvite(network), worker)
    expect(codeOf(() => verifyMember({ ...here, admission: bundle.admission }, view()))).toBe('wrong-network')
    expect(codeOf(() => openInvite(network, makeInvite(network, {}, generateSigningKey()).invite.bytes))).toBe(
      'bad-signature',
    )
  })

  test('does not let a certificate go beyond its invite or its key', () => {
    const [a, b] = [person(), person()]
    const invite = makeInvite(network, { name: parseName('fixed') })
    expect(codeOf(() => apply(network, invite, a, { name: 'free' }))).toBe('missing-right')
    expect(codeOf(() => apply(network, invite, a, { name: 'fixed', tags: ['boss'] }))).toBe('missing-right')
    expect(
      codeOf(() => apply(network, invite, a, { name: 'fixed', v4: ipv4Of(network.ipv4Prefix, b.node.nodeId, 0) })),
    ).toBe('address-taken')
  })

  test('knows an authority only by its first admission', () => {
    const relay = person()
    const bare = apply(network, makeInvite(network, { rights: ['relay'] }), relay, { name: 'relay' })
    expect(codeOf(() => verifyAuthority(bare, view()))).toBe('not-admitted')
    expect(codeOf(() => verifyAuthority(admit(network, bare, relay.node), view()))).toBe('not-admitted')
    const anchored = admit(network, bare, root)
    expect(
      codeOf(() => verifyAuthority(admit(network, apply(network, makeInvite(network), person()), root), view())),
    ).toBe('missing-right')
    admitters.add(relay.node.nodeId)
    const renewed = {
      ...admit(network, bare, relay.node, { sinceMs: NOW, admittedAtMs: NOW + 20 * DAY }),
      anchor: anchored.admission,
    }
    nowMs = NOW + 40 * DAY
    expect(codeOf(() => verifyAuthority(renewed, view()))).toBe('accepted')
    expect(codeOf(() => verifyMember(renewed, view()))).toBe('accepted')
    expect(codeOf(() => verifyMember(anchored, view()))).toBe('certificate-expired')
    expect(codeOf(() => verifyAuthority({ ...renewed, anchor: renewed.admission }, view()))).toBe('not-admitted')
  })

  test('refuses the revoked, and what a revoked admitter signs', () => {
    const [relay, old, late] = [person(), person(), person()]
    admitters.add(relay.node.nodeId)
    const invite = makeInvite(network, { uses: 5 })
    const before = admit(network, apply(network, invite, old), relay.node)
    knownCertificates.add(verifyMember(before, view()).certificate)
    revocations = signRevocations(network, undefined, { nodes: [relay.node.nodeId], nowMs: NOW + HOUR }, root)
    expect(codeOf(() => verifyMember(before, view()))).toBe('accepted')
    expect(codeOf(() => verifyMember(admit(network, apply(network, invite, late), relay.node), view()))).toBe(
      'not-admitted',
    )
    nowMs = NOW + 2 * HOUR
    expect(
      codeOf(() =>
        verifyMember(admit(network, apply(network, invite, old), relay.node, { admittedAtMs: nowMs }), view()),
      ),
    ).toBe('not-admitted')
    revocations = signRevocations(network, revocations, { nodes: [old.node.nodeId], nowMs }, root)
    expect(codeOf(() => verifyApplicant(before, view()))).toBe('revoked')
  })

  test('keeps who came by an invite before it was revoked, and nobody after', () => {
    const invite = makeInvite(network, { uses: 5 })
    const early = admit(network, apply(network, invite, person()), root)
    const late = admit(network, apply(network, invite, person(), { name: 'late' }), root, {
      admittedAtMs: NOW + 2 * HOUR,
    })
    revocations = signRevocations(network, undefined, { invites: [invite.invite.body.id], nowMs: NOW + HOUR }, root)
    nowMs = NOW + 3 * HOUR
    expect(codeOf(() => verifyMember(early, view()))).toBe('accepted')
    expect(codeOf(() => verifyMember(late, view()))).toBe('revoked')
  })
})

describe('an admitter', () => {
  test('admits, and gives the same answer when asked again', async () => {
    const { admitter, held } = makeAdmitter()
    const worker = person()
    const bundle = apply(network, makeInvite(network), worker)
    const first = await admitter.admit(bundle, worker.node.nodeId)
    expect(codeOf(() => verifyMember({ ...bundle, admission: first.bytes }, view()))).toBe('accepted')
    nowMs += HOUR
    const again = await admitter.admit(bundle, worker.node.nodeId)
    expect(again).toMatchObject({ renewed: true, admission: { use: 1, sinceMs: NOW, admittedAtMs: NOW + HOUR } })
    expect(held).toHaveLength(1)
  })

  test('refuses an expired ticket, a new key under an old ticket, and one use too many', async () => {
    const { admitter } = makeAdmitter()
    const invite = makeInvite(network, { uses: 2 })
    const ask = (name: string) => {
      const who = person()
      return codeOfAsync(admitter.admit(apply(network, invite, who, { name }), who.node.nodeId))
    }
    expect(await Promise.all([ask('a'), ask('b'), ask('c')])).toEqual(['accepted', 'accepted', 'ticket-used'])
    nowMs = NOW + DAY + CLOCK_TOLERANCE_MS + 1
    expect(await ask('d')).toBe('ticket-expired')
    nowMs = NOW - CLOCK_TOLERANCE_MS - 1
    expect(await ask('e')).toBe('clock-skew')
  })

  test('counts uses that other admitters reported', async () => {
    const { admitter, members } = makeAdmitter()
    const invite = makeInvite(network)
    members.push(verifyMember(admit(network, apply(network, invite, person()), root), view()))
    const late = person()
    expect(await codeOfAsync(admitter.admit(apply(network, invite, late, { name: 'b' }), late.node.nodeId))).toBe(
      'ticket-used',
    )
  })

  test('never displaces a holder of a name, WireGuard key or address', async () => {
    const { admitter } = makeAdmitter()
    const [first, second] = [person(), person()]
    await admitter.admit(apply(network, makeInvite(network), first), first.node.nodeId)
    const ask = (who: Person, name: string) =>
      codeOfAsync(admitter.admit(apply(network, makeInvite(network), who, { name }), who.node.nodeId))
    expect(await ask(second, 'worker-a')).toBe('name-taken')
    expect(await ask({ node: second.node, wireguard: first.wireguard }, 'b')).toBe('key-taken')
    revocations = signRevocations(network, undefined, { nodes: [first.node.nodeId], nowMs }, root)
    expect(await ask(second, 'worker-a')).toBe('accepted')
  })

  test('refuses an address that another holds, and takes the next', async () => {
    const small = foundNetwork({
      name: parseName('small'),
      ipv4Prefix: '10.0.0.0/24' as typeof DEFAULT_IPV4_PREFIX,
      root,
      nextRootKey: root.publicKey,
      nowMs: NOW,
    })
    network = small
    const { admitter } = makeAdmitter()
    let refused = 0
    for (let n = 0; n < 60; n++) {
      const who = person()
      const invite = makeInvite(network)
      for (let attempt = 0; attempt < 16; attempt++) {
        const v4 = ipv4Of(network.ipv4Prefix, who.node.nodeId, attempt)
        const code = await codeOfAsync(
          admitter.admit(apply(network, invite, who, { name: `n${n}`, v4 }), who.node.nodeId),
        )
        if (code === 'accepted') break
        expect(code).toBe('address-taken')
        refused++
      }
    }
    expect(refused).toBeGreaterThan(0)
  })

  test('renews a late returner whose invite is long over, unless revoked', async () => {
    const worker = person()
    const bundle = admit(network, apply(network, makeInvite(network), worker), root)
    const { admitter } = makeAdmitter()
    nowMs = NOW + 100 * DAY
    const renewed = await admitter.admit(bundle, worker.node.nodeId)
    expect(renewed).toMatchObject({ renewed: true, admission: { sinceMs: NOW, admittedAtMs: nowMs } })
    revocations = signRevocations(network, undefined, { nodes: [worker.node.nodeId], nowMs }, root)
    expect(await codeOfAsync(admitter.admit(bundle, worker.node.nodeId))).toBe('revoked')
  })

  test('does not take an admission signed by nobody for a renewal', async () => {
    const { admitter } = makeAdmitter()
    const worker = person()
    nowMs = NOW + 100 * DAY
    const forged = admit(network, apply(network, makeInvite(network), worker), worker.node)
    expect(await codeOfAsync(admitter.admit(forged, worker.node.nodeId))).toBe('not-admitted')
  })

  test('takes whose admitter was revoked once more while the invite is good, and not after', async () => {
    const { admitter } = makeAdmitter()
    const [worker, gone] = [person(), generateSigningKey()]
    const bundle = admit(network, apply(network, makeInvite(network), worker), gone)
    revocations = signRevocations(network, undefined, { nodes: [gone.nodeId], nowMs }, root)
    nowMs = NOW + HOUR
    const { renewed, admission } = await admitter.admit(bundle, worker.node.nodeId)
    expect([renewed, admission.sinceMs]).toEqual([false, nowMs])
    const late = person()
    const lateBundle = admit(network, apply(network, makeInvite(network), late, { name: 'late' }), gone)
    nowMs = NOW + 2 * DAY
    expect(await codeOfAsync(admitter.admit(lateBundle, late.node.nodeId))).toBe('not-admitted')
  })

  test('does not admit by a revoked invite or for a key that was not proven', async () => {
    const { admitter } = makeAdmitter()
    const invite = makeInvite(network)
    const who = person()
    expect(await codeOfAsync(admitter.admit(apply(network, invite, who), generateSigningKey().nodeId))).toBe(
      'wrong-key',
    )
    revocations = signRevocations(network, undefined, { invites: [invite.invite.body.id], nowMs }, root)
    expect(await codeOfAsync(admitter.admit(apply(network, invite, who), who.node.nodeId))).toBe('revoked')
  })
})

describe('lists and tokens', () => {
  test('a revocation list grows, keeps its dates, and an older one is refused', () => {
    const [a, b] = [generateSigningKey().nodeId, generateSigningKey().nodeId]
    const one = signRevocations(network, undefined, { nodes: [a], nowMs: NOW }, root)
    const two = signRevocations(network, one, { nodes: [a, b], nowMs: NOW + 1 }, root)
    expect([...openRevocations(network, two.bytes).nodes].sort()).toEqual(
      (
        [
          [a, NOW],
          [b, NOW + 1],
        ] as const
      ).toSorted(),
    )
    expect(newerRevocations(one, two)).toBe(two)
    expect(codeOf(() => newerRevocations(two, one))).toBe('stale-statement')
    expect(codeOf(() => openRevocations(makeNetwork('other'), two.bytes))).toBe('wrong-network')
    expect(
      codeOf(() => openRevocations(network, signRevocations(network, two, { nowMs }, generateSigningKey()).bytes)),
    ).toBe('bad-signature')
  })

  test('a token holds for its time and issuer, until revoked', () => {
    const issuer = generateSigningKey()
    const id = inviteIdOf(randomBytes(16))
    const token = signToken(network, { id, scopes: ['read'], issuedAtMs: NOW, notAfterMs: NOW + HOUR }, issuer)
    const check = (
      text: string,
      change: { nowMs?: number; mayIssue?: () => boolean; revocations?: Revocations } = {},
    ) => codeOf(() => verifyToken(text, { network, nowMs: NOW, mayIssue: (who) => who === issuer.nodeId, ...change }))
    expect(check(token)).toBe('accepted')
    for (const bad of ['', 'rwt1_', token.slice(1), `${token.slice(0, -4)}AAAA`])
      expect(check(bad)).toBe('unauthenticated')
    expect(check(token, { nowMs: NOW + HOUR + 1 })).toBe('unauthenticated')
    expect(check(token, { mayIssue: () => false })).toBe('unauthenticated')
    expect(check(token, { revocations: signRevocations(network, undefined, { tokens: [id], nowMs }, root) })).toBe(
      'unauthenticated',
    )
  })

  test('every statement meets hostile bytes with typed errors only', () => {
    const worker = person()
    const made = makeInvite(network)
    const bundle = admit(network, apply(network, made, worker), root)
    const list = signRevocations(network, undefined, { nodes: [worker.node.nodeId], nowMs }, root)
    const policy = signPolicy(network, { seq: 1, issuedAtMs: NOW, rules: Uint8Array.of(1, 2) }, root)
    expectOnlyTypedErrors(network.bytes, openNetwork, 300)
    expectOnlyTypedErrors(made.invite.bytes, (raw) => openInvite(network, raw), 300)
    expectOnlyTypedErrors(bundle.certificate, (raw) => openCertificate(network, made.invite.body as Invite, raw), 300)
    expectOnlyTypedErrors(bundle.admission ?? new Uint8Array(), (raw) =>
      verifyMember({ ...bundle, admission: raw }, view()),
    )
    expectOnlyTypedErrors(encodeBundle(bundle), (raw) => verifyMember(decodeBundle(raw), view()), 300)
    expectOnlyTypedErrors(list.bytes, (raw) => openRevocations(network, raw), 300)
    expectOnlyTypedErrors(policy.bytes, (raw) => openPolicy(network, raw), 300)
  }, 30_000)

  test('a bundle of the longest names stays under 2 KiB, anchor and all', () => {
    const long = 'x'.repeat(63)
    const tags = Array.from({ length: 8 }, (_, i) => `${'t'.repeat(31)}${i}`)
    const who = person()
    const invite = makeInvite(network, {
      name: parseName(long),
      tags: tags.map(parseTag),
      rights: ['relay', 'admit', 'hire'],
    })
    const bundle = admit(network, apply(network, invite, who, { name: long, tags }), root)
    const size = encodeBundle({ ...bundle, anchor: bundle.admission }).length
    expect(size).toBeLessThan(1_700)
  })
})
