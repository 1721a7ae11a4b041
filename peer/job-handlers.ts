import { type Job, type jobsApi, MAX_PACKAGE_BYTES, pageOf, type Unasked } from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Handlers, JobBytes } from './api/index.ts'
import type { ClusterJobs } from './runtime/index.ts'
import type { Jobs, JobView } from './runtime/jobs/index.ts'

const version = 1 as const
/** Far over what a page of a head takes: each answer has its own limit. */
const CALL_TIMEOUT_MS = 60_000
const PATIENT = { patient: true }
const NEWEST_MS = 10 ** 15

/** A peer's answers about jobs of the clusters that it hired. */
export function jobHandlers(clusterJobs: ClusterJobs): Handlers<typeof jobsApi> {
  return {
    jobs: async ({ query }) => {
      const { jobs, unasked, refusal } = await listJobs(clusterJobs, query.cluster)
      if (query.cluster !== undefined && refusal !== undefined) throw refusal
      const { items, nextCursor } = pageOf(jobs, latestFirst, query)
      return { version, jobs: items, unasked, ...(nextCursor === undefined ? {} : { nextCursor }) }
    },
    job: async ({ params, query }) => {
      const { cluster, job } = await find(clusterJobs, params.job, query.cluster)
      return { version, job: inCluster(cluster, job) }
    },
    submitJob: async ({ body }) => {
      const { cluster, ...wanted } = body
      const name = cluster ?? onlyCluster(clusterJobs)
      const { id } = await clusterJobs.of(name, PATIENT).submit(wanted, AbortSignal.timeout(CALL_TIMEOUT_MS))
      return { version, cluster: name, id }
    },
    stopJob: async ({ params, query }) => {
      const signal = AbortSignal.timeout(CALL_TIMEOUT_MS)
      const { cluster } = await find(clusterJobs, params.job, query.cluster)
      const jobs = clusterJobs.of(cluster, PATIENT)
      await jobs.stop(params.job, signal)
      return { version, job: inCluster(cluster, await jobs.job(params.job, signal)) }
    },
    package: async ({ params, query }) => {
      const cluster = query.cluster ?? onlyCluster(clusterJobs)
      const there = await clusterJobs
        .of(cluster, PATIENT)
        .hasPackage(params.package, AbortSignal.timeout(CALL_TIMEOUT_MS))
      return { version, cluster, there }
    },
  }
}

/** Jobs of one cluster or of all, in no order, and which clusters did not answer, the first with its reason. */
export async function listJobs(clusterJobs: ClusterJobs, cluster?: string) {
  const { found, unasked } = await ask(clusterJobs, cluster, (jobs, signal) => jobs.list(signal))
  return {
    jobs: found.flatMap((one) => one.answer.map((job) => inCluster(one.cluster, job))),
    unasked: unasked.map(({ view }) => view),
    refusal: unasked[0]?.error,
  }
}

/** The parts of the API that are bytes: logs and packages, passed on as they come. */
export function jobBytes(clusterJobs: ClusterJobs): JobBytes {
  return {
    async readLog(id, query, signal) {
      const { cluster } = await find(clusterJobs, id, query.cluster)
      const follow = query.follow === 'true'
      const log = clusterJobs.log(cluster, id, { follow, offset: query.offset, signal })
      return follow ? log : atMost(query.limit, log)
    },
    async putPackage(name, { cluster, bytes, content }, signal) {
      if (bytes > MAX_PACKAGE_BYTES) {
        throw new RopewalkError('too-large', 'Ray does not take a package of more than 100 MiB', {
          hint: 'leave data and models out, and let the job fetch them',
        })
      }
      const known = cluster ?? onlyCluster(clusterJobs)
      await clusterJobs.of(known, PATIENT).putPackage(name, { bytes, content }, signal)
    },
  }
}

interface Asked<T> {
  readonly found: readonly { readonly cluster: string; readonly answer: T }[]
  readonly unasked: readonly { readonly view: Unasked; readonly error: RopewalkError }[]
}

/** Asks one cluster or all of them at once; a head that is gone costs its own answer only. */
async function ask<T>(
  clusterJobs: ClusterJobs,
  cluster: string | undefined,
  question: (jobs: Jobs, signal: AbortSignal) => Promise<T>,
): Promise<Asked<T>> {
  const names = cluster === undefined ? clusterJobs.names() : [cluster]
  const found: { cluster: string; answer: T }[] = []
  const unasked: { view: Unasked; error: RopewalkError }[] = []
  await Promise.all(
    names.map(async (name) => {
      try {
        const answer = await question(clusterJobs.of(name), AbortSignal.timeout(CALL_TIMEOUT_MS))
        found.push({ cluster: name, answer })
      } catch (cause) {
        const error = toRopewalkError(cause)
        unasked.push({ view: { cluster: name, code: error.code, message: error.message }, error })
      }
    }),
  )
  return { found, unasked }
}

/** @throws RopewalkError `not-found`, `conflict` where several have it, or why a cluster that may have it did not answer */
async function find(clusterJobs: ClusterJobs, id: string, cluster: string | undefined) {
  const { found, unasked } = await ask(clusterJobs, cluster, (jobs, signal) => jobs.job(id, signal))
  const [first, second] = found
  if (second !== undefined) {
    const names = found.map((one) => one.cluster).sort()
    throw new RopewalkError('conflict', `Several clusters have a job ${id}: ${names.join(', ')}`, {
      hint: `--cluster ${names[0]}`,
    })
  }
  if (first !== undefined) return { cluster: first.cluster, job: first.answer }
  const silent = unasked.find(({ error }) => error.code !== 'not-found')
  if (silent === undefined) throw new RopewalkError('not-found', `No job ${id} is known`, { hint: 'ropewalk job list' })
  const { code, message, hint } = silent.error
  throw new RopewalkError(code, `The cluster ${silent.view.cluster} cannot be asked for job ${id}: ${message}`, {
    hint,
    cause: silent.error,
  })
}

function onlyCluster(clusterJobs: ClusterJobs): string {
  const names = [...clusterJobs.names()].sort()
  const [first] = names
  if (first === undefined) {
    throw new RopewalkError('not-found', 'No cluster was hired here', {
      hint: 'ropewalk cluster create NAME --workers 2',
    })
  }
  if (names.length === 1) return first
  throw new RopewalkError('bad-input', `There are several clusters: ${names.join(', ')}`, {
    hint: `name one: --cluster ${first}`,
  })
}

function inCluster(cluster: string, job: JobView): Job {
  return { cluster, ...job, metadata: { ...job.metadata } }
}

/** Lists are ordered by text: a later start is a smaller one. */
function latestFirst({ startedAtMs, cluster, id }: Job): string {
  return `${String(NEWEST_MS - (startedAtMs ?? 0)).padStart(16, '0')} ${cluster} ${id}`
}

async function* atMost(limit: number, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let left = limit
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left)
    left -= chunk.length
    if (left <= 0) return
  }
}
