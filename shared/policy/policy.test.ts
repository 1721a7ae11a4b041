import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type AddressedParty,
  compileFilter,
  DEFAULT_POLICY,
  evaluate,
  explain,
  type Policy,
  policySchema,
  type Service,
} from './index.ts'

const party = (name: string, ...tags: string[]) => ({ nodeId: `12D3Koo${name}`, name, tags })
const worker = party('a', 'worker')
const engineer = party('e', 'engineer')
const ssh: Service = { name: 'ssh', port: 22, protocol: 'tcp', http: false }
const jupyter: Service = { name: 'jupyter', port: 8888, protocol: 'tcp', http: true }
const exposed = [ssh, jupyter]
const ask = (policy: Policy, wanted: Parameters<typeof evaluate>[1]['wanted']) =>
  evaluate(policy, { visitor: engineer, worker, wanted, exposed })

describe('policy', () => {
  test('by default members reach exposed services by name and by port', () => {
    expect(ask(DEFAULT_POLICY, { service: 'ssh' })).toMatchObject({ allowed: true, target: { port: 22 } })
    expect(ask(DEFAULT_POLICY, { protocol: 'tcp', port: 8888 })).toMatchObject({
      allowed: true,
      target: { service: jupyter },
    })
  })

  test('what is not exposed is refused, and so is the right port of the wrong protocol', () => {
    expect(ask(DEFAULT_POLICY, { service: 'x' })).toMatchObject({ allowed: false, code: 'not-exposed' })
    expect(ask(DEFAULT_POLICY, { protocol: 'tcp', port: 23 })).toMatchObject({ allowed: false, code: 'not-exposed' })
    expect(ask(DEFAULT_POLICY, { protocol: 'udp', port: 22 })).toMatchObject({ allowed: false, code: 'not-exposed' })
  })

  test('the first matching rule decides, and a set policy replaces the default', () => {
    const policy = policySchema.parse({
      rules: [
        { action: 'deny', from: ['peer:e'], to: ['tag:worker'], services: ['jupyter'] },
        { action: 'allow', from: ['tag:engineer'], to: ['*'], services: ['jupyter'] },
        { action: 'allow', from: ['node:12D3Kooe'], to: ['*'], ports: [{ protocol: 'udp', from: 5000, to: 6000 }] },
      ],
    })
    expect(ask(policy, { service: 'jupyter' })).toMatchObject({ allowed: false, code: 'policy-refused', rule: 0 })
    expect(ask(policy, { service: 'ssh' })).toMatchObject({ allowed: false, code: 'policy-refused' })
    expect(ask(policy, { protocol: 'udp', port: 5353 })).toMatchObject({
      allowed: true,
      target: { service: undefined },
    })
  })

  test('a lease opens its ports to those it names, unless a rule forbids it', () => {
    const grants = [{ to: [engineer.nodeId], ports: [20_000, 20_099] as const }]
    const wanted = { protocol: 'tcp', port: 20_007 } as const
    const asked = (policy: Policy, visitor = engineer) => evaluate(policy, { visitor, worker, wanted, exposed, grants })
    expect(asked(DEFAULT_POLICY)).toMatchObject({ allowed: true, target: { port: 20_007, on: 'mesh' } })
    expect(asked(DEFAULT_POLICY, party('x'))).toMatchObject({ allowed: false, code: 'not-exposed' })
    const ports = [{ protocol: 'tcp' as const, from: 1, to: 65_535 }]
    const closed: Policy = { rules: [{ action: 'deny', from: ['peer:e'], to: ['*'], services: [], ports }] }
    expect(asked(closed)).toMatchObject({ allowed: false, code: 'policy-refused', rule: 0 })
    const udp = { visitor: engineer, worker, wanted: { protocol: 'udp', port: 20_007 }, exposed, grants } as const
    expect(evaluate(DEFAULT_POLICY, udp).allowed).toBe(false)
  })

  test('explain names every rule it passed', () => {
    const { steps } = explain(DEFAULT_POLICY, {
      visitor: engineer,
      worker,
      wanted: { protocol: 'tcp', port: 9 },
      exposed,
    })
    expect(steps).toEqual(['rule 1 (allow): not about tcp port 9', 'a does not expose tcp port 9'])
  })

  test('malformed policies are refused by the schema', () => {
    const rule = { action: 'allow', from: ['*'], to: ['*'], services: ['*'] }
    expect(policySchema.safeParse({ rules: [rule] }).success).toBe(true)
    for (const bad of [
      { rules: [{ ...rule, from: ['everybody'] }] },
      { rules: [{ ...rule, extra: 1 }] },
      { rules: [{ ...rule, ports: [{ protocol: 'tcp', from: 9, to: 8 }] }] },
      { rules: [{ ...rule, ports: [{ protocol: 'tcp', from: 0, to: 8 }] }] },
      { rules: [{ ...rule, from: [] }] },
      { rules: Array.from({ length: 257 }, () => rule) },
    ]) {
      expect(policySchema.safeParse(bad).success).toBe(false)
    }
  })
})

const names = ['a', 'b', 'c', 'd']
const tags = ['gpu', 'cpu']
const arbitraryParty = fc.record({ name: fc.constantFrom(...names), tags: fc.subarray(tags) })
const arbitrarySelector = fc.constantFrom(
  '*',
  ...tags.map((tag) => `tag:${tag}`),
  ...names.map((name) => `peer:${name}`),
)
const arbitraryProtocol = fc.constantFrom('tcp' as const, 'udp' as const)
// few ports, so that edges meet
const arbitraryPort = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(65_534, 65_535))
const arbitrarySpan = fc.tuple(arbitraryProtocol, arbitraryPort, arbitraryPort).map(([protocol, one, two]) => ({
  protocol,
  from: Math.min(one, two),
  to: Math.max(one, two),
}))
const arbitraryPolicy: fc.Arbitrary<Policy> = fc.record({
  rules: fc.array(
    fc.record({
      action: fc.constantFrom('allow' as const, 'deny' as const),
      from: fc.array(arbitrarySelector, { minLength: 1, maxLength: 3 }),
      to: fc.array(arbitrarySelector, { minLength: 1, maxLength: 3 }),
      services: fc.subarray(['*', 'ssh', 'web']),
      ports: fc.array(arbitrarySpan, { maxLength: 3 }),
    }),
    { maxLength: 6 },
  ),
})
const arbitraryExposed = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('ssh', 'web', 'other'),
    port: arbitraryPort,
    protocol: arbitraryProtocol,
    http: fc.boolean(),
  }),
  { selector: (service) => service.name, maxLength: 3 },
)

const arbitraryGrants = fc.array(
  fc.record({
    to: fc.subarray(names),
    ports: fc
      .tuple(arbitraryPort, arbitraryPort)
      .map(([one, two]): [number, number] => [Math.min(one, two), Math.max(one, two)]),
  }),
  { maxLength: 2 },
)

describe('the compiled filter', () => {
  test('says the same as evaluate, for every member and port', () => {
    fc.assert(
      fc.property(
        arbitraryPolicy,
        arbitraryExposed,
        fc.subarray(names),
        arbitraryParty,
        arbitraryGrants,
        (policy, services, present, host, grants) => {
          const target = { ...host, nodeId: 'x' }
          const members: AddressedParty[] = present.map((name, index) => ({
            nodeId: name,
            name,
            tags: index % 2 === 0 ? ['gpu'] : ['cpu'],
            addresses: { v6: `fd00::${name}`, v4: `100.88.0.${index}` },
          }))
          const filter = compileFilter(policy, { worker: target, exposed: services, members, grants })
          for (const visitor of members) {
            for (const protocol of ['tcp', 'udp'] as const) {
              for (const port of [...Array(14).keys()].slice(1).concat(65_533, 65_534, 65_535)) {
                const passes = filter.some(
                  (rule) =>
                    rule.protocol === protocol &&
                    rule.ports[0] <= port &&
                    port <= rule.ports[1] &&
                    (rule.sources.length === 0 || rule.sources.some(({ address }) => address === visitor.addresses.v6)),
                )
                const { allowed } = evaluate(policy, {
                  visitor,
                  worker: target,
                  wanted: { protocol, port },
                  exposed: services,
                  grants,
                })
                expect(passes).toBe(allowed)
              }
            }
          }
        },
      ),
    )
  })

  test('by default opens exposed ports to any member, also to those not met yet', () => {
    expect(compileFilter(DEFAULT_POLICY, { worker, exposed, members: [] })).toEqual([
      { protocol: 'tcp', ports: [22, 22], sources: [] },
      { protocol: 'tcp', ports: [8888, 8888], sources: [] },
    ])
  })
})
