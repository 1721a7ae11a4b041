import { randomBytes } from 'node:crypto'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Jobs, JobsDependencies, JobsOptions, JobView, JobWanted, LogOptions, PackageBytes } from './face.ts'
import { mayPass } from './head-errors.ts'
import { createHeadHttp, type HeadHttp } from './head-http.ts'
import { readLog } from './log.ts'
import { checkJobId, decodeJob, decodeJobs, decodeSubmitted, type RayJob } from './ray-job.ts'

const LIST_LIMIT_BYTES = 32 << 20
const JOB_LIMIT_BYTES = 4 << 20

/** Ray's job API (REST at the head's dashboard, Ray 2.60) through connections that the caller gives. */
export function createJobs(options: JobsOptions, dependencies: JobsDependencies): Jobs {
  return new RayJobs(options, dependencies)
}

class RayJobs implements Jobs {
  readonly #logger: JobsDependencies['logger']
  readonly #http: HeadHttp

  constructor(options: JobsOptions, dependencies: JobsDependencies) {
    this.#logger = dependencies.logger
    this.#http = createHeadHttp(options, dependencies)
  }

  async submit(job: JobWanted, signal: AbortSignal): Promise<{ id: string }> {
    // made here, so that a job is not submitted twice when the answer is lost
    const id = `raysubmit_${randomBytes(8).toString('hex')}`
    const body = {
      entrypoint: job.entrypoint,
      submission_id: id,
      runtime_env: {
        ...(job.package === undefined ? {} : { working_dir: `gcs://${fileOf(job.package)}` }),
        ...(job.env === undefined ? {} : { env_vars: checkEnvironment(job.env) }),
      },
      metadata: { job_name: job.name ?? id },
      ...(job.cpus === undefined ? {} : { entrypoint_num_cpus: amount(job.cpus, 'CPUs') }),
      ...(job.gpus === undefined ? {} : { entrypoint_num_gpus: amount(job.gpus, 'GPUs') }),
    }
    try {
      const { body: answer } = await this.#http.call({ method: 'POST', path: '/api/jobs/', json: body, signal })
      if (decodeSubmitted(answer) !== id)
        throw new RopewalkError('protocol-error', "The cluster's head answered for another job")
    } catch (error) {
      await this.#wasSubmitted(id, toRopewalkError(error), signal)
    }
    return { id }
  }

  async hasPackage(name: string, signal: AbortSignal): Promise<boolean> {
    const { status } = await this.#http.call({ method: 'GET', path: pathOf(name), signal, alsoFine: 404 })
    return status !== 404
  }

  async putPackage(name: string, sent: PackageBytes, signal: AbortSignal): Promise<void> {
    await this.#http.call({ method: 'PUT', path: pathOf(name), sent, signal })
  }

  async list(signal: AbortSignal): Promise<JobView[]> {
    const { body } = await this.#http.call({ method: 'GET', path: '/api/jobs/', limitBytes: LIST_LIMIT_BYTES, signal })
    return decodeJobs(body).map(viewOf)
  }

  async job(id: string, signal: AbortSignal): Promise<JobView> {
    return viewOf(await this.#job(id, signal))
  }

  async stop(id: string, signal: AbortSignal): Promise<void> {
    await this.#http.call({ method: 'POST', path: `/api/jobs/${checkJobId(id)}/stop`, signal })
  }

  logs(id: string, options: LogOptions): AsyncIterable<Uint8Array> {
    const known = checkJobId(id)
    return readLog(
      { id: known, ...options },
      {
        job: (signal) => this.#job(known, signal),
        stream: (path, signal) => this.#http.stream(path, signal),
        logger: this.#logger,
      },
    )
  }

  async #job(id: string, signal: AbortSignal): Promise<RayJob> {
    const path = `/api/jobs/${checkJobId(id)}`
    const { body } = await this.#http.call({ method: 'GET', path, limitBytes: JOB_LIMIT_BYTES, signal })
    return decodeJob(body)
  }

  /** After a submission without an answer: whether the cluster has the job all the same. */
  async #wasSubmitted(id: string, error: RopewalkError, signal: AbortSignal): Promise<void> {
    const unsure = mayPass(error) || error.code === 'aborted'
    if (!unsure) throw error
    if (!signal.aborted) {
      try {
        await this.#job(id, signal)
        return
      } catch (second) {
        if (toRopewalkError(second).code === 'not-found') throw error
      }
    }
    throw new RopewalkError(error.code, `${error.message}; job ${id} may have been submitted all the same`, {
      hint: `ropewalk job status ${id}`,
      cause: error,
    })
  }
}

/** Ray looks at the form of a package's name. */
function fileOf(name: string): string {
  return `_ray_pkg_${name}.zip`
}

function pathOf(name: string): string {
  return `/api/packages/gcs/${fileOf(name)}`
}

function viewOf({ view }: RayJob): JobView {
  return view
}

function amount(value: number, what: string): number {
  if (value >= 0 && value <= 4_096) return value
  throw new RopewalkError('bad-usage', `${value} is no number of ${what}`)
}

function checkEnvironment(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0'))
      throw new RopewalkError('bad-usage', `${JSON.stringify(name)} cannot be a variable of the environment`)
  }
  return env
}
