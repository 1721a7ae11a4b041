import { damaged, damagedText, expectOnlyTypedErrors, heldBytes } from '@ropewalk/shared/hostile'
import { generateSigningKey, generateWireguardKeys } from '@ropewalk/shared/identity'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { CLOCK_TOLERANCE_MS, formatTicket, type InviteOptions, type Network, parseTicket } from './index.ts'
import { admit, apply, codeOf, DAY, makeInvite, makeNetwork, NOW, person, root } from './test-members.ts'

let network: Network

beforeEach(() => {
  network = makeNetwork()
})

describe('a ticket', () => {
  const ways = [{ kind: 'relay', url: 'https://relay.example:443/', nodeId: generateSigningKey().nodeId }] as const
  const make = (change: Partial<InviteOptions> = {}) => {
    const { key, invite } = makeInvite(network, change)
    return formatTicket({ kind: 'member', network, invite, waysIn: ways, minRevocationSeq: 3, inviteKey: key })
  }

  test('is one line that is read back, whitespace or not', () => {
    const text = make()
    expect(text).toMatch(/^ropewalk1:[\w-]+$/)
    const ticket = parseTicket(`\n ${text.slice(0, 60)}\n${text.slice(60)} \n`, NOW)
    expect(ticket).toMatchObject({
      kind: 'member',
      minRevocationSeq: 3,
      waysIn: [{ url: 'https://relay.example:443/' }],
    })
    expect(ticket.network.id).toBe(network.id)
  })

  test('of a relay carries keys that are admitted', () => {
    const relay = person()
    const made = makeInvite(network, { rights: ['relay'] })
    const bundle = admit(network, apply(network, made, relay, { name: 'relay' }), root)
    const common = { network, invite: made.invite, waysIn: [], minRevocationSeq: 0, url: 'https://r.example:443/' }
    const text = formatTicket({ ...common, kind: 'relay', nodeKey: relay.node, wireguardKeys: relay.wireguard, bundle })
    expect(parseTicket(text, NOW)).toMatchObject({ kind: 'relay', url: 'https://r.example:443/' })
    const foreign = formatTicket({
      ...common,
      kind: 'relay',
      nodeKey: generateSigningKey(),
      wireguardKeys: relay.wireguard,
      bundle,
    })
    expect(codeOf(() => parseTicket(foreign, NOW))).toBe('wrong-key')
    const mixed = formatTicket({
      ...common,
      kind: 'relay',
      nodeKey: relay.node,
      wireguardKeys: generateWireguardKeys(),
      bundle,
    })
    expect(codeOf(() => parseTicket(mixed, NOW))).toBe('bad-ticket')
  })

  test('that is cut, changed, foreign or late is told apart', () => {
    const text = make()
    for (const bad of [
      '',
      'ropewalk1:',
      text.slice(0, -20),
      `${text}AAAA`,
      text.slice(10),
      `ropewalk2:${text.slice(10)}`,
      'x'.repeat(100_000),
    ]) {
      expect(codeOf(() => parseTicket(bad, NOW))).toBe('bad-ticket')
    }
    let changed = 0
    for (let i = 12; i < text.length; i += 7) {
      const letter = text[i] === 'A' ? 'B' : 'A'
      if (text[i] === letter) continue
      changed++
      expect(codeOf(() => parseTicket(text.slice(0, i) + letter + text.slice(i + 1), NOW))).toMatch(
        /^bad-(ticket|signature)$/,
      )
    }
    expect(changed).toBeGreaterThan(50)
    expect(codeOf(() => parseTicket(text, NOW + DAY + CLOCK_TOLERANCE_MS + 1))).toBe('ticket-expired')
    expect(codeOf(() => parseTicket(text, NOW - CLOCK_TOLERANCE_MS - 1))).toBe('clock-skew')
    const foreignKey = makeInvite(network)
    const stolen = formatTicket({
      kind: 'member',
      network,
      invite: foreignKey.invite,
      waysIn: [],
      minRevocationSeq: 0,
      inviteKey: generateSigningKey(),
    })
    expect(codeOf(() => parseTicket(stolen, NOW))).toBe('bad-signature')
  })

  test('meets hostile bytes with typed errors only', () => {
    const raw = Buffer.from(make().slice(10), 'base64url')
    expectOnlyTypedErrors(raw, (bytes) => parseTicket(`ropewalk1:${Buffer.from(bytes).toString('base64url')}`, NOW))
  })
})

describe('ticket text by the ten thousand', () => {
  test('is read, or refused with a reason; nothing forged is read, nothing is left behind', () => {
    const { key, invite } = makeInvite(network)
    const good = formatTicket({ kind: 'member', network, invite, waysIn: [], minRevocationSeq: 3, inviteKey: key })
    const codes = new Map<string, number>()
    const attempt = (text: string): void => {
      const code = String(codeOf(() => parseTicket(text, NOW)))
      codes.set(code, (codes.get(code) ?? 0) + 1)
      if (code === 'accepted') expect(text.replace(/\s/g, '')).toBe(good)
    }
    const [prefix = '', encoded = ''] = good.split(':')
    const packed = damaged(Buffer.from(encoded, 'base64url')).map(
      (raw) => `${prefix}:${Buffer.from(raw).toString('base64url')}`,
    )
    const shots = [
      ...fc.sample(damagedText(good), { numRuns: 10_000, seed: 7 }),
      ...fc.sample(packed, { numRuns: 12_000, seed: 7 }),
    ]
    for (const text of shots.slice(-2_000)) attempt(text)
    const before = heldBytes()
    for (const text of shots) attempt(text)
    expect(heldBytes() - before).toBeLessThan(8 * 1_024 * 1_024)
    const refusals = ['bad-ticket', 'bad-signature', 'bad-statement', 'wrong-network', 'accepted', 'too-large']
    expect([...codes.keys()].filter((code) => !refusals.includes(code))).toEqual([])
    expect(codes.get('bad-ticket')).toBeGreaterThan(5_000)
    expect(codes.get('bad-signature')).toBeGreaterThan(1_000)
  }, 120_000)
})
