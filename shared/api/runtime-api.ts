import { z } from 'zod'
import { contract } from './endpoint.ts'
import { pageQuerySchema, pageSchema } from './page.ts'
import {
  clusterAccessSchema,
  clusterNameSchema,
  clusterSchema,
  clusterWishSchema,
  deviceSchema,
  heldLeaseSchema,
} from './runtime-schema.ts'
import { doneSchema, versionSchema } from './schema.ts'

const clusterParams = z.strictObject({ cluster: clusterNameSchema })
const clusterAnswer = z.strictObject({ version: versionSchema, cluster: clusterSchema })
const worker = z.string().min(1).max(128)

/** Clusters, the workers they can be made of, and what of this worker is leased. */
export const runtimeApi = contract({
  devices: {
    method: 'GET',
    path: '/devices',
    summary: 'Workers that can be hired, with their cores, memory, GPUs and link',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('devices', deviceSchema),
  },
  leases: {
    method: 'GET',
    path: '/leases',
    summary: 'What of this worker is leased, and to whom',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('leases', heldLeaseSchema),
  },
  endLease: {
    method: 'DELETE',
    path: '/leases/:lease',
    summary: 'End a lease of this worker before its time; the hirer hears of it and hires another',
    scope: 'write',
    params: z.strictObject({
      lease: z.string().regex(/^[0-9a-f]{8,32}$/, 'the first digits of a lease’s id, 8 at least'),
    }),
    answer: doneSchema,
  },
  clusters: {
    method: 'GET',
    path: '/clusters',
    summary: 'The clusters that this node hired',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('clusters', clusterSchema),
  },
  cluster: {
    method: 'GET',
    path: '/clusters/:cluster',
    summary: 'One cluster: its workers, and what happened to it',
    scope: 'read',
    params: clusterParams,
    answer: clusterAnswer,
  },
  createCluster: {
    method: 'POST',
    path: '/clusters',
    summary: 'Hire workers and start Ray on them; answers at once, the cluster shows how it goes on',
    scope: 'write',
    body: clusterWishSchema,
    answer: clusterAnswer,
  },
  extendCluster: {
    method: 'POST',
    path: '/clusters/:cluster/extend',
    summary: 'Move the end of its leases',
    scope: 'write',
    params: clusterParams,
    body: z.strictObject({
      forMs: z
        .number()
        .int()
        .min(1_000)
        .max(366 * 86_400_000),
    }),
    answer: clusterAnswer,
  },
  addWorker: {
    method: 'POST',
    path: '/clusters/:cluster/workers',
    summary: 'Hire one more worker for it: a named one, or the best that fits',
    scope: 'write',
    params: clusterParams,
    body: z.strictObject({ worker: worker.optional() }),
    answer: clusterAnswer,
  },
  removeWorker: {
    method: 'DELETE',
    path: '/clusters/:cluster/workers/:worker',
    summary: 'Give one of its workers back',
    scope: 'write',
    params: z.strictObject({ cluster: clusterNameSchema, worker }),
    answer: clusterAnswer,
  },
  deleteCluster: {
    method: 'DELETE',
    path: '/clusters/:cluster',
    summary: 'Give all its workers back; says which peers could not be told, where the leases end by themselves',
    scope: 'write',
    params: clusterParams,
    answer: z.strictObject({ ...doneSchema.shape, untold: z.array(z.string()) }),
  },
  clusterAccess: {
    method: 'GET',
    path: '/clusters/:cluster/access',
    summary: 'What Ray’s own tools need to reach it; holds its secret',
    scope: 'write',
    params: clusterParams,
    answer: clusterAccessSchema,
  },
})
