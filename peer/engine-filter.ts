import { compileFilter, type Grant, type Party, type Policy, type Service } from '@ropewalk/shared/policy'
import { MESH_STREAM_PORT } from '@ropewalk/shared/tunnel'
import type { FilterOptions } from 'node-wireguard'
import type { Member } from './discovery/index.ts'

export interface EngineFilterInput {
  readonly policy: Policy
  readonly worker: Party
  readonly exposed: readonly Service[]
  readonly members: readonly Member[]
  /** What leases open here now. */
  readonly grants: readonly Grant[]
}

/**
 * The policy as the engine's packet filter. The port of the inner protocol is open to every member: who is let through it
 * is decided for each stream by the same policy.
 */
export function engineFilter({ policy, worker, exposed, members, grants }: EngineFilterInput): FilterOptions {
  const rules = compileFilter(policy, { worker, exposed, members, grants })
  const allow = rules.map(({ protocol, ports, sources }) => ({
    protocol,
    ports,
    sources: sources.map(({ address, prefix }) => `${address}/${prefix}`),
  }))
  return { allow: [...allow, { protocol: 'tcp', ports: [MESH_STREAM_PORT, MESH_STREAM_PORT] }] }
}
