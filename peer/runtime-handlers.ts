import { type DeviceView, type PageQuery, pageOf, type runtimeApi } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { rayPort } from '@ropewalk/shared/runtime'
import type { Handlers } from './api/index.ts'
import type { Discovery, Member } from './discovery/index.ts'
import { headOf, type Runtime } from './runtime/index.ts'
import { clusterView, leaseView } from './runtime-picture.ts'

const version = 1 as const

/** A peer's answers about clusters, leases and what workers offer. */
export function runtimeHandlers(discovery: Discovery, runtime: Runtime): Handlers<typeof runtimeApi> {
  const { clusters, desk } = runtime
  const view = (name: string) => ({ version, cluster: clusterView(discovery, clusters.named(name)) })
  return {
    devices: async ({ query }) => devicesPage(discovery, query),
    leases: async ({ query }) => {
      const { items, nextCursor } = pageOf(desk.leases(), ({ lease }) => lease.id, query)
      const leases = items.map((lease) => leaseView(discovery, lease))
      return { version, leases, ...(nextCursor === undefined ? {} : { nextCursor }) }
    },
    endLease: async ({ params }) => {
      await desk.end(params.lease)
      return { version, done: true }
    },
    clusters: async ({ query }) => {
      const { items, nextCursor } = pageOf(clusters.list(), ({ record }) => record.name, query)
      const views = items.map((cluster) => clusterView(discovery, cluster))
      return { version, clusters: views, ...(nextCursor === undefined ? {} : { nextCursor }) }
    },
    cluster: async ({ params }) => view(params.cluster),
    createCluster: async ({ body }) => {
      const { on, ...wish } = body
      clusters.create({ ...wish, on: on === undefined ? undefined : distinct(on.map((word) => find(discovery, word))) })
      return view(body.name)
    },
    extendCluster: async ({ params, body }) => {
      await clusters.named(params.cluster).extend(Date.now() + body.forMs)
      return view(params.cluster)
    },
    addWorker: async ({ params, body }) => {
      const worker = body.worker === undefined ? undefined : find(discovery, body.worker)
      await clusters.named(params.cluster).add(worker)
      return view(params.cluster)
    },
    removeWorker: async ({ params }) => {
      await clusters.named(params.cluster).remove(find(discovery, params.worker).nodeId)
      return view(params.cluster)
    },
    deleteCluster: async ({ params }) => {
      const untold = await clusters.named(params.cluster).delete()
      return { version, done: true, untold: [...untold] }
    },
    clusterAccess: async ({ params }) => {
      const { member, ports, token } = headOf(clusters.named(params.cluster), discovery)
      return {
        version,
        name: params.cluster,
        head: {
          name: member.name,
          nodeId: member.nodeId,
          address: member.addresses.v4,
          gcsPort: rayPort(ports, 'gcs'),
          dashboardPort: rayPort(ports, 'dashboard'),
          clientPort: rayPort(ports, 'clientServer'),
        },
        token,
      }
    },
  }
}

/** A page of the workers that can be hired, by what their records say. */
export function devicesPage(discovery: Pick<Discovery, 'self' | 'members'>, query: PageQuery) {
  const offered = [discovery.self, ...discovery.members()].flatMap(deviceView)
  const { items, nextCursor } = pageOf(offered, ({ nodeId }) => nodeId, query)
  return { version, devices: items, ...(nextCursor === undefined ? {} : { nextCursor }) }
}

function deviceView({ name, nodeId, state, record }: Member): DeviceView[] {
  if (record?.offer === undefined) return []
  const { tier, gpus, ...offer } = record.offer
  return [{ name, nodeId, state, ...offer, gpus: [...gpus], tier: tier ?? null }]
}

function find(discovery: Discovery, word: string): Member {
  const member = discovery.member(word)
  if (member !== undefined) return member
  throw new RopewalkError('unknown-peer', `No member is called “${word}”`, { hint: 'ropewalk devices' })
}

function distinct(members: readonly Member[]): readonly Member[] {
  if (new Set(members.map(({ nodeId }) => nodeId)).size === members.length) return members
  throw new RopewalkError('bad-input', 'A worker is named twice')
}
