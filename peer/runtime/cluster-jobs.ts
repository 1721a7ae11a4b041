import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { rayPort } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../discovery/index.ts'
import type { Cluster, Clusters } from './hire/index.ts'
import { createJobs, type Jobs } from './jobs/index.ts'

/** For one answer of a head, in ms: less than callers of this node's API wait for theirs. */
const ANSWER_TIMEOUT_MS = 8_000

/** Where a cluster's head is now. */
export interface HeadPlace {
  readonly member: Member
  readonly ports: number
  readonly token: string
}

/** Jobs of the clusters that this node hired. */
export interface ClusterJobs {
  /** Names of the clusters that can be asked. */
  names(): readonly string[]
  /**
   * Its answers come within 8 s or not at all; with `patient` within 30 s, where it has more to do than look.
   * @throws RopewalkError `not-found`; `conflict` where it has no head now
   */
  of(cluster: string, options?: { readonly patient?: boolean }): Jobs
}

export interface ClusterJobsDependencies {
  readonly clusters: Clusters
  readonly discovery: Pick<Discovery, 'self' | 'member'>
  /** A stream to a member's port. @throws RopewalkError with the reason */
  readonly open: (to: NodeId, service: string, signal: AbortSignal) => Promise<Duplex>
  readonly logger: Logger
}

/** The heads are asked each time: nothing is kept here. */
export function createClusterJobs({ clusters, discovery, open, logger }: ClusterJobsDependencies): ClusterJobs {
  return {
    names: () => clusters.list().map(({ record }) => record.name),
    of(name, { patient = false } = {}) {
      const { member, ports, token } = headOf(clusters.named(name), discovery)
      const { nodeId, addresses } = member
      const dial = async (port: number, signal: AbortSignal): Promise<Duplex> =>
        nodeId === discovery.self.nodeId
          ? await dialHere(addresses.v4, port, signal)
          : await open(nodeId, String(port), signal)
      const options = {
        dashboardPort: rayPort(ports, 'dashboard'),
        token,
        timeoutMs: patient ? undefined : ANSWER_TIMEOUT_MS,
      }
      return createJobs(options, { dial, logger: logger.child({ cluster: name }) })
    },
  }
}

/** @throws RopewalkError `conflict` where there is none now */
export function headOf({ record, head, phase }: Cluster, discovery: Pick<Discovery, 'member'>): HeadPlace {
  const member = head === undefined ? undefined : discovery.member(head.nodeId)
  if (head !== undefined && member !== undefined && phase !== 'creating')
    return { member, ports: head.ports, token: record.token }
  throw new RopewalkError('conflict', `The cluster ${record.name} has no head now`, {
    hint: `ropewalk cluster show ${record.name}`,
  })
}

/** This node is the head itself: no stream leads to it. */
async function dialHere(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const socket = connect({ host, port })
  await once(socket, 'connect', { signal }).catch((error: unknown) => {
    socket.destroy()
    throw error
  })
  return socket
}
