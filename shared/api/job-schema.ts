import { z } from 'zod'
import { clusterNameSchema } from './runtime-schema.ts'

/** Most bytes of a packed working directory, in the head's one request (`DASHBOARD_CLIENT_MAX_SIZE`, Ray 2.60). */
export const MAX_PACKAGE_BYTES = 100 * 1_024 * 1_024

const millis = z.number().int().nonnegative().nullable()

/** Ray's id of a job: `raysubmit_…`, or what its submitter chose. */
export const jobIdSchema = z.string().regex(/^[A-Za-z0-9][\w.-]{0,127}$/, 'that is no id of a job')

/** A job as its cluster tells of it. Texts come from whoever submitted it: not fit for a terminal as they are. */
export const jobSchema = z.strictObject({
  cluster: z.string(),
  id: z.string(),
  status: z.enum(['pending', 'running', 'succeeded', 'failed', 'stopped']),
  /** The command line that sh was given. */
  entrypoint: z.string(),
  /** Negative for the number of the signal that ended it; null until it ended, and where it never began. */
  exitCode: z.number().int().nullable(),
  /** Why it waits or failed, in Ray's words. */
  message: z.string().nullable(),
  startedAtMs: millis,
  endedAtMs: millis,
  metadata: z.record(z.string(), z.string()),
})
/** A job as its cluster tells of it. */
export type Job = z.infer<typeof jobSchema>

/** A cluster that did not answer, and why. */
export const unaskedSchema = z.strictObject({ cluster: z.string(), code: z.string(), message: z.string() })
/** A cluster that did not answer, and why. */
export type Unasked = z.infer<typeof unaskedSchema>

/** Name of a package in a cluster: made of what is in it, so that the same tree is sent once. */
export const packageNameSchema = z.string().regex(/^[0-9a-f]{40}$/, 'a package is named by 40 hexadecimal digits')

/** What a job is submitted with. */
export const jobWishSchema = z.strictObject({
  cluster: clusterNameSchema.optional(),
  /** For `sh -c`; 131,071 bytes are the most that Linux hands to a program. */
  entrypoint: z.string().min(1).max(131_071),
  /** A package that the cluster has: the job begins in a copy of it. */
  package: packageNameSchema.optional(),
  env: z.record(z.string().regex(/^[^=\0]+$/, 'no name of a variable'), z.string().regex(/^[^\0]*$/)).optional(),
  name: z.string().min(1).max(256).optional(),
  /** For the entry point itself; what its tasks and actors take is theirs to say. */
  gpus: z.number().min(0).max(4_096).optional(),
  cpus: z.number().min(0).max(4_096).optional(),
})

/** Which of a log's bytes are wanted, in the query of `GET /jobs/:job/logs`. */
export const logQuerySchema = z.strictObject({
  cluster: clusterNameSchema.optional(),
  /** Bytes to leave out at its beginning. */
  offset: z.coerce.number().int().nonnegative().default(0),
  /** Most bytes of the answer, 1 MiB unless said; there may be more behind an answer of just so many. Not with `follow`. */
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(64 << 20)
    .default(1 << 20),
  /** On until the job ends. */
  follow: z.enum(['true', 'false']).default('false'),
})
/** Which of a log's bytes are wanted. */
export type LogQuery = z.infer<typeof logQuerySchema>
