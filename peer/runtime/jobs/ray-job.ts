import { RopewalkError } from '@ropewalk/shared/errors'
import { z } from 'zod'
import type { JobStatus, JobView } from './face.ts'

/** Most jobs of one cluster that are looked at. */
const MAX_JOBS = 10_000
const STATUSES = ['PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'STOPPED'] as const

const id = z.string().min(1).max(128)
const millis = z.number().int().nonnegative()

/** What Ray's job API says of a job (`JobDetails`, Ray 2.60); keys that are not named are left out. */
const details = z.object({
  job_id: id.nullish(),
  submission_id: id.nullish(),
  status: z.enum(STATUSES),
  entrypoint: z.string().max(1 << 20),
  message: z
    .string()
    .max(1 << 20)
    .nullish(),
  start_time: millis.nullish(),
  end_time: millis.nullish(),
  metadata: z.record(z.string().max(1_024), z.string().max(65_536)).nullish(),
  driver_node_id: z
    .string()
    .regex(/^[0-9a-f]{1,128}$/)
    .nullish(),
  driver_exit_code: z.number().int().min(-255).max(255).nullish(),
})

/** A job, and on which node its log is. */
export interface RayJob {
  readonly view: JobView
  /** Ray's id of the node where the entry point runs; absent until it does. */
  readonly node: string | undefined
}

/** An id as users type it. @throws RopewalkError `bad-input` */
export function checkJobId(text: string): string {
  if (/^[A-Za-z0-9][\w.-]{0,127}$/.test(text)) return text
  throw new RopewalkError('bad-input', 'That is no id of a job', { hint: 'ropewalk job list' })
}

/** A job out of bytes that may be hostile. @throws RopewalkError `protocol-error` */
export function decodeJob(raw: Uint8Array): RayJob {
  return toJob(parse(details, raw))
}

/** Jobs out of bytes that may be hostile, the latest first. @throws RopewalkError `protocol-error` */
export function decodeJobs(raw: Uint8Array): RayJob[] {
  return parse(z.array(details).max(MAX_JOBS), raw)
    .map(toJob)
    .sort((a, b) => (b.view.startedAtMs ?? 0) - (a.view.startedAtMs ?? 0))
}

/** Ray's answer to a submission. @throws RopewalkError `protocol-error` */
export function decodeSubmitted(raw: Uint8Array): string {
  return parse(z.object({ submission_id: id }), raw).submission_id
}

function toJob(raw: z.output<typeof details>): RayJob {
  const known = raw.submission_id ?? raw.job_id
  if (typeof known !== 'string') throw senseless()
  const view = {
    id: known,
    status: raw.status.toLowerCase() as JobStatus,
    entrypoint: raw.entrypoint,
    exitCode: raw.driver_exit_code ?? null,
    message: raw.message ?? null,
    startedAtMs: raw.start_time ?? null,
    endedAtMs: raw.end_time ?? null,
    metadata: raw.metadata ?? {},
  }
  return { view, node: raw.driver_node_id ?? undefined }
}

function parse<T extends z.ZodType>(schema: T, raw: Uint8Array): z.output<T> {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(raw))
  } catch (cause) {
    throw senseless(cause)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw senseless(parsed.error)
}

function senseless(cause?: unknown): RopewalkError {
  return new RopewalkError('protocol-error', "The cluster's head answered what Ray's job API does not", { cause })
}
