import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { ORDER_SERVICE } from '@ropewalk/shared/runtime'
import type { Discovery } from '../discovery/index.ts'
import type { State } from '../state/index.ts'
import { createCages } from './cage/index.ts'
import { createCageHost } from './cage-host.ts'
import { type ClusterJobs, createClusterJobs } from './cluster-jobs.ts'
import { createDesk, type Desk, openSpentLeases } from './desk/index.ts'
import {
  answerSpeed,
  createOffer,
  measureLink,
  type OfferKeeper,
  probeDevices,
  type SpeedLimits,
} from './devices/index.ts'
import { type Ask, type Clusters, createClusters } from './hire/index.ts'
import { answerOnce, askOnce } from './order-stream.ts'

export interface RuntimeOptions {
  /** Where the virtual environment is, see `runtimeFolder`. */
  readonly folder: string
  /** Longest lease that this worker takes, in ms. */
  readonly maxLeaseMs: number
  /** Name of the mesh's interface; absent where this machine has none. */
  readonly meshInterface?: string | undefined
  /** How much others may measure their links with this node; see {@link SpeedLimits} for what holds unless said. */
  readonly speed?: SpeedLimits | undefined
}

export interface RuntimeDependencies {
  readonly key: SigningKey
  readonly discovery: Discovery
  readonly state: State
  readonly logger: Logger
  /** A stream to a member, both ends proven. @throws RopewalkError with the reason */
  readonly open: (to: NodeId, service: string, signal: AbortSignal) => Promise<Duplex>
}

/** Ray on the mesh: what this node offers, the leases it holds for others, the clusters it hired. */
export interface Runtime extends Startable {
  readonly desk: Desk
  /** Started by itself, when streams can be opened. */
  readonly clusters: Clusters
  readonly jobs: ClusterJobs
  readonly offer: OfferKeeper
  /** Takes an order's stream from a member. */
  takeOrder(stream: Duplex, from: NodeId): void
}

/** The runtime of a peer. */
export async function createRuntime(options: RuntimeOptions, dependencies: RuntimeDependencies): Promise<Runtime> {
  const { key, discovery, state, logger, open } = dependencies
  const { folder, maxLeaseMs, meshInterface, speed } = options
  const { self, network } = discovery
  const cages = createCages({ folder: join(state.folder, 'leases') }, { logger })
  const mesh = meshInterface === undefined ? undefined : { interface: meshInterface, ...self.addresses }
  const offer = createOffer(
    { folder, maxLeaseMinutes: Math.floor(maxLeaseMs / 60_000) },
    {
      leases: () => desk.leases().filter(({ state: its }) => its !== 'over').length,
      measure: (signal) => measureLink(discovery, logger, { signal }),
      // a rootless peer can hire, not be hired
      publish: (now) => discovery.publish({ offer: mesh === undefined ? undefined : now }),
      logger,
    },
  )
  const capacity = async () => {
    const { cpus, memoryMiB, gpus } = offer.devices ?? (await probeDevices({ folder }))
    return { cpus, memoryMiB, gpus: gpus.length }
  }
  const desk: Desk = createDesk(
    { network: network.id, self: self.nodeId, maxLeaseMs },
    {
      discovery,
      capacity,
      logger,
      host: createCageHost({ folder, mesh }, cages),
      spent: await openSpentLeases(state.spent, logger),
    },
  )
  const ask: Ask = async (to, order, signal) =>
    to === self.nodeId
      ? await desk.answer(order, discovery.self)
      : await askOnce(await open(to, ORDER_SERVICE, signal), order, signal)
  const clusters = createClusters({
    network: network.id,
    key,
    discovery,
    ask,
    document: state.clusters,
    owed: state.owed,
    logger,
  })
  const parts: readonly Startable[] = [desk, offer]
  const undo: (() => void)[] = []
  const life = startable({
    async start(signal) {
      const left = await cages.sweep()
      if (left.length > 0) logger.warn('removed what leases of an earlier run had left', { leases: left })
      undo.push(
        answerSpeed(discovery, speed === undefined ? {} : { limits: speed }),
        desk.onChange(() => void offer.refresh()),
      )
      for (const part of parts) await part.start({ signal })
    },
    async stop() {
      for (const step of undo.splice(0)) step()
      for (const part of parts.toReversed()) await part.stop()
    },
  })
  return {
    desk,
    clusters,
    jobs: createClusterJobs({ clusters, discovery, open, logger: logger.child({ room: 'jobs' }) }),
    offer,
    takeOrder(stream, from) {
      const member = discovery.member(from)
      if (member === undefined) stream.destroy()
      else void answerOnce(stream, (order) => desk.answer(order, member))
    },
    start: (start) => life.start(start),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}
