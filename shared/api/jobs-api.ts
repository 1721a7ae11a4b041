import { z } from 'zod'
import { contract } from './endpoint.ts'
import { jobIdSchema, jobSchema, jobWishSchema, packageNameSchema, unaskedSchema } from './job-schema.ts'
import { pageQuerySchema, pageSchema } from './page.ts'
import { clusterNameSchema } from './runtime-schema.ts'
import { versionSchema } from './schema.ts'

const jobParams = z.strictObject({ job: jobIdSchema })
/** Which cluster: needed only where several clusters have a job of that id. */
export const clusterQuerySchema = z.strictObject({ cluster: clusterNameSchema.optional() })
const jobAnswer = z.strictObject({ version: versionSchema, job: jobSchema })

/**
 * Jobs of the clusters that this node hired; the clusters' heads are asked each time. Beside it stand the bytes:
 * `GET /jobs/:job/logs` and `PUT /packages/:package`.
 */
export const jobsApi = contract({
  jobs: {
    method: 'GET',
    path: '/jobs',
    summary: 'Jobs of all clusters or of one, the latest first; says which clusters did not answer',
    scope: 'read',
    query: pageQuerySchema.extend({ cluster: clusterNameSchema.optional() }),
    answer: pageSchema('jobs', jobSchema).extend({ unasked: z.array(unaskedSchema) }),
  },
  job: {
    method: 'GET',
    path: '/jobs/:job',
    summary: 'One job',
    scope: 'read',
    params: jobParams,
    query: clusterQuerySchema,
    answer: jobAnswer,
  },
  submitJob: {
    method: 'POST',
    path: '/jobs',
    summary: 'Run a command on a cluster, in a package that was brought there',
    scope: 'write',
    body: jobWishSchema,
    answer: z.strictObject({ version: versionSchema, cluster: z.string(), id: z.string() }),
  },
  stopJob: {
    method: 'POST',
    path: '/jobs/:job/stop',
    summary: 'Ask for its end; it has ended when its status says so. Nothing happens to one that has ended',
    scope: 'write',
    params: jobParams,
    query: clusterQuerySchema,
    answer: jobAnswer,
  },
  package: {
    method: 'GET',
    path: '/packages/:package',
    summary: 'Whether a cluster has a packed working directory',
    scope: 'write',
    params: z.strictObject({ package: packageNameSchema }),
    query: clusterQuerySchema,
    answer: z.strictObject({ version: versionSchema, cluster: z.string(), there: z.boolean() }),
  },
})
