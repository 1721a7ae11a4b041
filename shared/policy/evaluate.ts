import type { ErrorCode } from '../errors/index.ts'
import type { Policy, Protocol, Rule, Service } from './schema.ts'

/** A member as far as rules look at it; identity is proven before it gets here. */
export interface Party {
  readonly nodeId: string
  readonly name: string
  readonly tags: readonly string[]
}

/** What the visitor wants: an exposed service by name, or a port. */
export type Wanted = { readonly service: string } | { readonly protocol: Protocol; readonly port: number }

/** Ports that a lease opens for a while: to the members of a cluster and to who hired it. */
export interface Grant {
  /** Node ids. */
  readonly to: readonly string[]
  /** First and last TCP port, both included; on the mesh address, not on loopback. */
  readonly ports: readonly [number, number]
}

/** One question to the policy. */
export interface AccessRequest {
  readonly visitor: Party
  readonly worker: Party
  readonly wanted: Wanted
  /** What the worker exposes now. */
  readonly exposed: readonly Service[]
  /** What leases open on the worker now. */
  readonly grants?: readonly Grant[] | undefined
}

/** The answer, with the rule that gave it and a sentence for people. */
export type Decision =
  | {
      readonly allowed: true
      /** Absent where a lease allows it. */
      readonly rule?: number
      readonly target: Target
      readonly reason: string
    }
  | { readonly allowed: false; readonly code: ErrorCode; readonly rule?: number; readonly reason: string }

/** Where an allowed stream ends: a port of the worker. */
export interface Target {
  readonly protocol: Protocol
  readonly port: number
  /** A lease's ports are on the mesh address, everything else on loopback. */
  readonly on: 'loopback' | 'mesh'
  /** The exposed service that stands for it, if one does. */
  readonly service: Service | undefined
}

/** The one decision for mesh packets and tunnels alike: may this visitor reach that on this worker. */
export function evaluate(policy: Policy, request: AccessRequest): Decision {
  const target = resolve(request.wanted, request.exposed)
  if (target === undefined) {
    return {
      allowed: false,
      code: 'not-exposed',
      reason: `${request.worker.name} does not expose ${wantedText(request.wanted)}`,
    }
  }
  const what = wantedText(request.wanted)
  const index = policy.rules.findIndex((rule) => mismatch(rule, request.visitor, request.worker, target) === undefined)
  const rule = policy.rules[index]
  if (rule?.action === 'allow') {
    return {
      allowed: true,
      rule: index,
      target,
      reason: `rule ${index + 1} lets ${request.visitor.name} reach ${what}`,
    }
  }
  // a rule that forbids stands above what a worker's own leases open
  if (rule === undefined && isGranted(request, target)) {
    return {
      allowed: true,
      target: { ...target, on: 'mesh' },
      reason: `a lease lets ${request.visitor.name} reach ${what}`,
    }
  }
  if (rule === undefined && target.service === undefined) {
    return { allowed: false, code: 'not-exposed', reason: `${request.worker.name} does not expose ${what}` }
  }
  if (rule === undefined) {
    return { allowed: false, code: 'policy-refused', reason: `no rule lets ${request.visitor.name} reach ${what}` }
  }
  return {
    allowed: false,
    code: 'policy-refused',
    rule: index,
    reason: `rule ${index + 1} forbids ${request.visitor.name} to reach ${what}`,
  }
}

/** The decision together with what every rule said: for `ropewalk policy explain`. */
export function explain(policy: Policy, request: AccessRequest): { decision: Decision; steps: readonly string[] } {
  const decision = evaluate(policy, request)
  const target = resolve(request.wanted, request.exposed)
  if (target === undefined) return { decision, steps: [decision.reason] }
  const steps: string[] = []
  for (const [index, rule] of policy.rules.entries()) {
    const why = mismatch(rule, request.visitor, request.worker, target)
    steps.push(`rule ${index + 1} (${rule.action}): ${why ?? 'matches'}`)
    if (why === undefined) break
  }
  return { decision, steps: [...steps, decision.reason] }
}

function resolve(wanted: Wanted, exposed: readonly Service[]): Target | undefined {
  if ('service' in wanted) {
    const service = exposed.find((one) => one.name === wanted.service)
    return service && { protocol: service.protocol, port: service.port, on: 'loopback', service }
  }
  const service = exposed.find((one) => one.port === wanted.port && one.protocol === wanted.protocol)
  return { ...wanted, on: 'loopback', service }
}

function isGranted({ visitor, grants = [] }: AccessRequest, { protocol, port }: Target): boolean {
  if (protocol !== 'tcp') return false
  return grants.some(({ to, ports: [first, last] }) => first <= port && port <= last && to.includes(visitor.nodeId))
}

/** Why a rule does not speak about this access; `undefined` when it does. */
export function mismatch(rule: Rule, visitor: Party, worker: Party, target: Target): string | undefined {
  if (!rule.from.some((selector) => selects(selector, visitor))) return `not from ${visitor.name}`
  if (!rule.to.some((selector) => selects(selector, worker))) return `not to ${worker.name}`
  const { service } = target
  const named = service !== undefined && rule.services.some((name) => name === '*' || name === service.name)
  const ported = rule.ports.some(
    (span) => span.protocol === target.protocol && span.from <= target.port && target.port <= span.to,
  )
  return named || ported ? undefined : `not about ${service?.name ?? `${target.protocol} port ${target.port}`}`
}

function selects(selector: string, party: Party): boolean {
  if (selector === '*') return true
  const colon = selector.indexOf(':')
  const value = selector.slice(colon + 1)
  switch (selector.slice(0, colon)) {
    case 'tag':
      return party.tags.includes(value)
    case 'peer':
      return party.name === value
    case 'node':
      return party.nodeId === value
    default:
      return false
  }
}

function wantedText(wanted: Wanted): string {
  return 'service' in wanted ? wanted.service : `${wanted.protocol} port ${wanted.port}`
}
