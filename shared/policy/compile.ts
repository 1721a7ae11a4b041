import { evaluate, type Grant, type Party } from './evaluate.ts'
import type { Policy, Protocol, Service } from './schema.ts'

/** A rule as the engine's packet filter takes it; it only allows, and no sources means any member. */
export interface FilterRule {
  readonly protocol: Protocol
  /** First and last port, both included. */
  readonly ports: readonly [number, number]
  /** Mesh addresses with prefix lengths. */
  readonly sources: readonly { readonly address: string; readonly prefix: number }[]
}

/** A member with the mesh addresses its packets come from. */
export interface AddressedParty extends Party {
  readonly addresses: { readonly v6: string; readonly v4: string }
}

/** What the filter is made from. Compile again when any of it changes. */
export interface FilterInput {
  readonly worker: Party
  readonly exposed: readonly Service[]
  readonly members: readonly AddressedParty[]
  /** What leases open here now. */
  readonly grants?: readonly Grant[] | undefined
}

/**
 * The policy as packet filter rules of one worker, equal to {@link evaluate} for every member and port.
 * ICMP echo and replies are the engine's own affair and always pass.
 */
export function compileFilter(policy: Policy, input: FilterInput): FilterRule[] {
  const protocols: readonly Protocol[] = ['tcp', 'udp']
  return protocols.flatMap((protocol) =>
    segments(policy, input, protocol).flatMap((span) => rulesOf(policy, input, protocol, span)),
  )
}

type Span = readonly [number, number]

/** Cuts the ports that any rule or service mentions so that within a piece every port gets the same answer. */
function segments(policy: Policy, { exposed, grants = [] }: FilterInput, protocol: Protocol): Span[] {
  const cuts = new Set<number>()
  const spans: Span[] = []
  const note = (from: number, to: number): void => {
    cuts.add(from).add(to + 1)
    spans.push([from, to])
  }
  for (const rule of policy.rules)
    for (const span of rule.ports) if (span.protocol === protocol) note(span.from, span.to)
  for (const service of exposed) if (service.protocol === protocol) note(service.port, service.port)
  if (protocol === 'tcp') for (const { ports } of grants) note(...ports)
  const sorted = [...cuts].sort((a, b) => a - b)
  return sorted
    .slice(0, -1)
    .map((from, index): Span => [from, (sorted[index + 1] ?? from + 1) - 1])
    .filter(([from]) => spans.some(([low, high]) => low <= from && from <= high))
}

/** Stands for a member nobody has heard of yet: only rules from `*` speak about it. */
const ANYBODY: Party = { nodeId: '', name: '', tags: [] }

function rulesOf(policy: Policy, input: FilterInput, protocol: Protocol, ports: Span): FilterRule[] {
  const may = (visitor: Party): boolean =>
    evaluate(policy, { ...input, visitor, wanted: { protocol, port: ports[0] } }).allowed
  const allowed = input.members.filter(may)
  if (allowed.length === input.members.length && may(ANYBODY)) return [{ protocol, ports, sources: [] }]
  if (allowed.length === 0) return []
  const sources = allowed.flatMap(({ addresses }) => [
    { address: addresses.v6, prefix: 128 },
    { address: addresses.v4, prefix: 32 },
  ])
  return [{ protocol, ports, sources }]
}
