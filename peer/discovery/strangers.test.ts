import { isRopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, generateWireguardKeys } from '@ropewalk/shared/identity'
import {
  ADMISSION_LIFETIME_MS,
  type Bundle,
  hashOfCertificate,
  openInvite,
  signAdmission,
  signRevocations,
  type WayIn,
} from '@ropewalk/shared/membership'
import { REPORT_PROTOCOL, SIGNAL_PROTOCOL, SYNC_PROTOCOL } from '@ropewalk/shared/records'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { RogueHost } from './rogue-host.ts'
import { addressOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

const HOUR_MS = 3_600_000

let mesh: TestMesh
let other: TestMesh
let relay: TestNode
let member: TestNode
let waysIn: readonly WayIn[]

beforeAll(async () => {
  mesh = new TestMesh()
  other = new TestMesh()
  relay = mesh.admitted('relay')
  await relay.discovery.start()
  waysIn = [wayTo(relay)]
  member = mesh.joiner('member', { waysIn })
  await member.discovery.start()
  await until(relay, () => relay.discovery.member('member')?.state === 'online', 'the relay sees the member')
})
afterAll(async () => {
  await mesh.stop()
  await other.stop()
})

const past = { notBeforeMs: Date.now() - 3 * HOUR_MS, notAfterMs: Date.now() - 2 * HOUR_MS }

function flipped(raw: Uint8Array): Uint8Array {
  const copy = new Uint8Array(raw)
  copy[copy.length - 3] = (copy[copy.length - 3] ?? 0) ^ 1
  return copy
}

/** What a node of these parts hears at the door, and what the relay's log says of it. */
async function atTheDoor(node: TestNode): Promise<readonly [heard: unknown, logged: unknown]> {
  const from = relay.log.lines.length
  const heard = await node.discovery.start().then(
    () => 'accepted',
    (error: unknown) => (isRopewalkError(error) ? error.code : error),
  )
  const of = relay.log.lines.slice(from).filter(({ message }) => String(message).startsWith('refused a'))
  return [heard, of[0]?.code]
}

/** What the relay's log says of somebody who shows a bundle as if a member; he hears nothing but that it is over. */
async function asMember(bundle: Bundle | Uint8Array, key = generateSigningKey()): Promise<unknown> {
  const from = relay.log.lines.length
  const rogue = await RogueHost.create(mesh.network, key, bundle)
  try {
    // one dial, for the log tells no more than twenty refusals in ten seconds
    const connection = await rogue.dial(addressOf(relay)).catch(() => undefined)
    for (const protocol of connection === undefined
      ? []
      : [SYNC_PROTOCOL, SIGNAL_PROTOCOL, REPORT_PROTOCOL, '/ropewalk/kad/1.0.0']) {
      await expect(connection?.newStream(protocol, { signal: AbortSignal.timeout(3_000) })).rejects.toBeInstanceOf(
        Error,
      )
    }
    expect(relay.discovery.connectedTo(key.nodeId)).toBe(false)
    const line = await relay.log.line('refused a stranger', from)
    expect(line).toMatchObject({ nodeId: key.nodeId, reason: expect.stringMatching(/\w/) })
    return line.code
  } finally {
    await rogue.stop()
  }
}

describe('at the door, both sides say why', () => {
  const joinerOf = (invite: ReturnType<TestMesh['invite']>, name = 'stranger'): TestNode =>
    mesh.joiner(name, { waysIn }, invite)

  test('with an expired ticket', async () => {
    expect(await atTheDoor(joinerOf(mesh.invite(past)))).toEqual(['ticket-expired', 'ticket-expired'])
  })

  test('with a ticket that was used as often as it may be', async () => {
    const invite = mesh.invite({ uses: 2 })
    for (const name of ['first', 'second']) expect((await atTheDoor(joinerOf(invite, name)))[0]).toBe('accepted')
    expect(await atTheDoor(joinerOf(invite, 'third'))).toEqual(['ticket-used', 'ticket-used'])
  })

  test('with a revoked ticket', async () => {
    const invite = mesh.invite()
    const { id } = invite.statement.body
    const before = relay.discovery.revocations()
    const list = signRevocations(mesh.network, before, { invites: [id], nowMs: Date.now() }, mesh.root)
    await relay.discovery.revoke(list.bytes)
    expect(await atTheDoor(joinerOf(invite))).toEqual(['revoked', 'revoked'])
  })

  test("with another network's ticket", async () => {
    // its network is another in every byte of the handshake: the two cannot even tell each other more
    const stranger = other.joiner('stranger', { waysIn, overrides: { joinTimeoutMs: 1_500 } })
    expect(await atTheDoor(stranger)).toEqual(['unreachable', 'protocol-error'])
    const foreign = other.joiner('stranger', { waysIn })
    const { key, wireguardKeys, memory } = foreign
    expect(() => mesh.node('stranger', key, wireguardKeys, memory.bundle)).toThrow(
      expect.objectContaining({ code: 'wrong-network' }),
    )
    const rogue = await RogueHost.create(mesh.network, key, memory.bundle, 'door')
    expect(await rogue.heard(addressOf(relay))).toMatchObject({ kind: 'refused', code: 'wrong-network' })
    await rogue.stop()
  })

  test('with a certificate that was tampered with', async () => {
    const [key, keys] = [generateSigningKey(), generateWireguardKeys()]
    const good = mesh.apply('stranger', key, keys)
    // past the own check of an honest joiner
    const rogue = await RogueHost.create(mesh.network, key, { ...good, certificate: flipped(good.certificate) }, 'door')
    const from = relay.log.lines.length
    expect(await rogue.heard(addressOf(relay))).toMatchObject({ kind: 'refused', code: 'bad-signature' })
    expect((await relay.log.line('refused an applicant', from)).code).toBe('bad-signature')
    await rogue.stop()
  })

  test('with the name or the WireGuard key of another', async () => {
    expect(await atTheDoor(joinerOf(mesh.invite(), 'member'))).toEqual(['name-taken', 'name-taken'])
    const key = generateSigningKey()
    const copied = mesh.apply('copied', key, member.wireguardKeys)
    const twin = mesh.node('copied', key, member.wireguardKeys, copied, { waysIn })
    expect(await atTheDoor(twin)).toEqual(['key-taken', 'key-taken'])
  })

  test('as a revoked member that asks again', async () => {
    const gone = joinerOf(mesh.invite(), 'gone')
    expect((await atTheDoor(gone))[0]).toBe('accepted')
    await gone.discovery.stop()
    const nodes = [gone.key.nodeId]
    const before = relay.discovery.revocations()
    await relay.discovery.revoke(signRevocations(mesh.network, before, { nodes, nowMs: Date.now() }, mesh.root).bytes)
    const { certificate, invite } = gone.memory.bundle
    const again = mesh.node('gone', gone.key, gone.wireguardKeys, { certificate, invite }, { waysIn })
    expect(await atTheDoor(again)).toEqual(['revoked', 'revoked'])
    expect(await asMember(gone.memory.bundle, gone.key)).toBe('revoked')
  })
})

describe('inside the handshake of members, the refusing side says why, and no protocol is reached', () => {
  test('without any certificate, or with noise for one', async () => {
    expect(await asMember(new Uint8Array())).toBe('bad-input')
    expect(await asMember(Buffer.from('noise'))).toBe('bad-input')
  })

  test('with a certificate and no admission', async () => {
    const key = generateSigningKey()
    expect(await asMember(mesh.apply('stranger', key, generateWireguardKeys()), key)).toBe('not-admitted')
  })

  test("with another's bundle, or another network's", async () => {
    expect(await asMember(member.memory.bundle)).toBe('wrong-key')
    const foreign = other.admitted('stranger', { rights: [] })
    expect(await asMember(foreign.memory.bundle, foreign.key)).toBe('wrong-network')
  })

  test('with a tampered certificate, or an invite of its own making', async () => {
    const { key, memory } = mesh.admitted('stranger', { rights: [] })
    expect(await asMember({ ...memory.bundle, certificate: flipped(memory.bundle.certificate) }, key)).toBe(
      'bad-signature',
    )
    const own = mesh.apply('stranger', key, generateWireguardKeys(), mesh.invite({}, generateSigningKey()))
    expect(await asMember(own, key)).toBe('bad-signature')
  })

  test('with an old ticket, a new key and a past date that it wrote itself', async () => {
    const key = generateSigningKey()
    const bundle = mesh.apply('stranger', key, generateWireguardKeys(), mesh.invite(past))
    const invite = openInvite(mesh.network, bundle.invite).body
    const sinceMs = past.notBeforeMs + 60_000
    const backdated = (by: typeof key): Bundle => ({
      ...bundle,
      admission: signAdmission(
        mesh.network,
        {
          certificate: hashOfCertificate({ bytes: bundle.certificate }),
          invite: invite.id,
          use: 1,
          sinceMs,
          admittedAtMs: sinceMs,
          notAfterMs: sinceMs + ADMISSION_LIFETIME_MS,
        },
        by,
      ).bytes,
    })
    expect(await asMember(backdated(key), key)).toBe('not-admitted')
    // a member without the right vouches for nobody either
    expect(await asMember(backdated(member.key), key)).toBe('not-admitted')
    // and the admitter's own date is that of today
    const node = mesh.node('stranger', key, generateWireguardKeys(), bundle, { waysIn })
    expect(await atTheDoor(node)).toEqual(['ticket-expired', 'ticket-expired'])
  })

  test('with an admission that has ended', async () => {
    const { key, memory } = mesh.admitted('lapsed', { rights: [] })
    const { certificate, invite } = memory.bundle
    const thenMs = Date.now() - 40 * 24 * HOUR_MS
    const ended = signAdmission(
      mesh.network,
      {
        certificate: hashOfCertificate({ bytes: certificate }),
        invite: openInvite(mesh.network, invite).body.id,
        use: 1,
        sinceMs: thenMs,
        admittedAtMs: thenMs,
        notAfterMs: thenMs + ADMISSION_LIFETIME_MS,
      },
      mesh.root,
    )
    expect(await asMember({ certificate, invite, admission: ended.bytes }, key)).toMatch(
      /ticket-expired|certificate-expired/,
    )
  })
})
