import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { rayPort } from '@ropewalk/shared/runtime'
import type { Discovery, Member } from '../discovery/index.ts'
import type { Cluster, Clusters } from './hire/index.ts'
import { createJobs, type Jobs, type LogOptions } from './jobs/index.ts'

/** For one answer of a head, in ms: less than callers of this node's API wait for theirs. */
const ANSWER_TIMEOUT_MS = 8_000

/** How often a log that is followed asks whether its head is still the same, in ms. */
const HEAD_LOOK_MS = 500

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
  /** A job's log as {@link Jobs.logs}; ends with `job-lost` when the cluster ends or gets another head. */
  log(cluster: string, id: string, options: LogOptions): AsyncIterable<Uint8Array>
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
  const self: ClusterJobs = {
    names: () => clusters.list().map(({ record }) => record.name),
    log: (name, id, options) =>
      whileItsHeadIs(clusters.named(name), options.signal, (signal) => self.of(name).logs(id, { ...options, signal })),
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
  return self
}

/** With its head a cluster loses its jobs, and gets another token: whoever follows one need not wait for the old head. */
async function* whileItsHeadIs(
  cluster: Cluster,
  signal: AbortSignal,
  read: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const { token, name } = cluster.record
  const lost = new AbortController()
  const timer = setInterval(() => {
    if (cluster.phase !== 'ending' && cluster.record.token === token) return
    const what = cluster.phase === 'ending' ? 'ended' : 'lost its head'
    lost.abort(
      new RopewalkError('job-lost', `The cluster ${name} ${what}, and the job with it`, {
        hint: `ropewalk cluster show ${name}`,
      }),
    )
  }, HEAD_LOOK_MS)
  try {
    yield* read(AbortSignal.any([signal, lost.signal]))
  } catch (error) {
    throw lost.signal.aborted && !signal.aborted ? lost.signal.reason : error
  } finally {
    clearInterval(timer)
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
