import { ipv4Of } from '@ropewalk/shared/addressing'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, generateWireguardKeys } from '@ropewalk/shared/identity'
import { type Bundle, signRevocations, type WayIn } from '@ropewalk/shared/membership'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { RogueHost } from './rogue-host.ts'
import { addressOf, portOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

let mesh: TestMesh
let relay: TestNode
let waysIn: readonly WayIn[]

beforeEach(async () => {
  mesh = new TestMesh()
  relay = mesh.admitted('relay')
  await relay.discovery.start()
  waysIn = [wayTo(relay)]
})
afterEach(() => mesh.stop())

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

const join = (node: TestNode): Promise<unknown> => codeOf(node.discovery.start())

function flipped(raw: Uint8Array): Uint8Array {
  const copy = new Uint8Array(raw)
  copy[copy.length - 3] = (copy[copy.length - 3] ?? 0) ^ 1
  return copy
}

describe('joining', () => {
  test('a ticket makes a member, and members learn of each other', async () => {
    const [a, b] = [mesh.joiner('worker-a', { waysIn }), mesh.joiner('worker-b', { waysIn })]
    await a.discovery.start()
    await until(a, () => a.discovery.member('relay')?.state === 'online', 'a sees the relay')
    await b.discovery.start()
    await until(b, () => b.discovery.member('worker-a')?.state === 'online', 'b sees a')
    await until(a, () => a.discovery.member('worker-b')?.state === 'online', 'a sees b')
    expect(
      a.discovery
        .members()
        .map((one) => one.name)
        .toSorted(),
    ).toEqual(['relay', 'worker-b'])
    const { addresses, nodeId } = b.discovery.self
    for (const word of ['worker-b', 'WORKER-B.test.internal', addresses.v4, addresses.v6, nodeId]) {
      expect(a.discovery.member(word)?.name).toBe('worker-b')
    }
    expect(a.discovery.member('nobody')).toBeUndefined()
  })

  test('a member with the right to admit lets others in, whom a third one believes', async () => {
    const helper = mesh.joiner('helper', { waysIn }, mesh.invite({ rights: ['admit'] }))
    await helper.discovery.start()
    await until(helper, () => helper.discovery.member('relay') !== undefined, 'helper sees the relay')
    const worker = mesh.joiner('worker', { waysIn: [wayTo(helper)] })
    await worker.discovery.start()
    await until(relay, () => relay.discovery.member('worker')?.state === 'online', 'the relay sees the worker')
    expect(relay.discovery.member('worker')?.admission.admitter).toBe(helper.key.nodeId)
  })

  test('a used, expired, foreign or revoked ticket is told apart from the others', async () => {
    const invite = mesh.invite()
    expect(await join(mesh.joiner('first', { waysIn }, invite))).toBe('accepted')
    expect(await join(mesh.joiner('second', { waysIn }, invite))).toBe('ticket-used')
    const past = { notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 }
    expect(await join(mesh.joiner('late', { waysIn }, mesh.invite(past)))).toBe('ticket-expired')
    const revoked = mesh.invite()
    const list = signRevocations(
      mesh.network,
      undefined,
      { invites: [revoked.statement.body.id], nowMs: Date.now() },
      mesh.root,
    )
    await relay.discovery.revoke(list.bytes)
    expect(await join(mesh.joiner('out', { waysIn }, revoked))).toBe('revoked')
    expect(relay.log.codes('refused an applicant')).toEqual(['ticket-used', 'ticket-expired', 'revoked'])
  })

  test('a name or WireGuard key that another holds is refused; an address gives way to the next', async () => {
    const first = mesh.joiner('worker', { waysIn })
    await first.discovery.start()
    expect(await join(mesh.joiner('worker', { waysIn }))).toBe('name-taken')
    const key = generateSigningKey()
    const copied = mesh.node('other', key, first.wireguardKeys, mesh.apply('other', key, first.wireguardKeys), {
      waysIn,
    })
    expect(await join(copied)).toBe('key-taken')
    const lucky = mesh.joiner('lucky', { waysIn })
    const v4 = ipv4Of(mesh.network.ipv4Prefix, lucky.key.nodeId, 0)
    await relay.memory.claims.put({
      nodeId: generateSigningKey().nodeId,
      certificate: first.discovery.self.certificate,
      name: first.discovery.self.name,
      v4,
      wireguardKey: generateWireguardKeys().publicKey,
      invite: first.discovery.self.admission.invite,
      use: 9,
      sinceMs: 1,
    })
    expect(await join(lucky)).toBe('accepted')
    expect(lucky.discovery.self.addresses.v4).toBe(ipv4Of(mesh.network.ipv4Prefix, lucky.key.nodeId, 1))
  })

  test('nobody gets past the handshake without a certificate that holds', async () => {
    const member = mesh.joiner('member', { waysIn })
    await member.discovery.start()
    await until(member, () => member.discovery.connectedTo(relay.key.nodeId), 'linked')
    const key = generateSigningKey()
    const keys = generateWireguardKeys()
    const own = mesh.apply('stranger', key, keys)
    const stolen = member.memory.bundle
    const selfMade = mesh.apply('stranger', key, keys, mesh.invite({}, generateSigningKey()))
    const cases: readonly [Bundle, string][] = [
      [{ ...own, admission: stolen.admission }, 'not-admitted'], // an admission for another certificate
      [selfMade, 'bad-signature'], // an invite of its own making
      [{ ...stolen, certificate: flipped(stolen.certificate) }, 'bad-signature'],
    ]
    for (const [bundle, code] of cases) {
      const rogue = await RogueHost.create(mesh.network, key, bundle)
      const before = relay.log.lines.length
      await rogue.dial(addressOf(relay)).catch(() => undefined)
      expect((await relay.log.line('refused a stranger', before)).code).toBe(code)
      expect(relay.discovery.connectedTo(key.nodeId)).toBe(false)
      await rogue.stop()
    }
  })

  test('a node of another network does not even learn our certificate', async () => {
    const other = new TestMesh()
    const stranger = other.joiner('stranger', { waysIn, overrides: { joinTimeoutMs: 1_500 } })
    expect(await join(stranger)).toBe('unreachable')
    expect(relay.log.codes('refused a stranger')).toContain('protocol-error')
    await other.stop()
  })

  test('a member without the right to admit opens no door', async () => {
    const member = mesh.joiner('member', { waysIn })
    await member.discovery.start()
    const joiner = mesh.joiner('joiner', { waysIn: [wayTo(member)], overrides: { joinTimeoutMs: 1_500 } })
    expect(await join(joiner)).toBe('unreachable')
  })

  test('who waits for a relay that is not there yet joins when it comes', async () => {
    const later = mesh.again(relay, { port: portOf(relay) })
    await relay.discovery.stop()
    const joiner = mesh.joiner('early', { waysIn })
    const joined = joiner.discovery.start()
    await joiner.log.line('no admitter could be asked yet')
    await later.discovery.start()
    await joined
    expect(joiner.discovery.self.name).toBe('early')
  })
})
