import { Readable } from 'node:stream'
import {
  API_PREFIX,
  clusterQuerySchema,
  doneSchema,
  jobIdSchema,
  type LogQuery,
  logQuerySchema,
  packageNameSchema,
} from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { type Authorize, allow } from './mount.ts'

/** What packages are sent as. */
const PACKAGE_TYPE = 'application/zip'

/** A package as it comes in. */
export interface SentPackage {
  readonly cluster: string | undefined
  readonly bytes: number
  readonly content: Readable
}

/** The bytes of jobs: they pass through, and are never whole in this process. */
export interface JobBytes {
  /** Resolves when it is known whose log it is. @throws RopewalkError with the reason */
  readLog(job: string, query: LogQuery, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** @throws RopewalkError with the reason */
  putPackage(name: string, sent: SentPackage, signal: AbortSignal): Promise<void>
}

interface Dependencies {
  readonly bytes: JobBytes
  readonly authorize: Authorize
  readonly logger: Logger
}

/** Adds `GET /jobs/:job/logs` and `PUT /packages/:package`. */
export function addJobBytes(app: FastifyInstance, dependencies: Dependencies): void {
  addLogs(app, dependencies)
  // in a scope of its own: only there bodies are not read before the handler has them
  void app.register(async (scope) => addPackages(scope, dependencies))
}

function addLogs(app: FastifyInstance, { bytes, authorize, logger }: Dependencies): void {
  app.route({
    method: 'GET',
    url: `${API_PREFIX}/jobs/:job/logs`,
    exposeHeadRoute: false, // an answer that follows a job has no end to wait for
    schema: {
      operationId: 'jobLogs',
      summary: 'The log of a job from an offset, as bytes; with `follow` until the job ends',
      description: 'A log that breaks off within is cut: ask again from where it ended.',
      security: [{ bearer: ['read'] }],
      params: z.strictObject({ job: jobIdSchema }),
      querystring: logQuerySchema,
      response: { 200: { description: 'Bytes', content: { 'text/plain': { schema: z.string() } } } },
    },
    onRequest: allow('read', authorize),
    handler: async (request, reply) => {
      const { params, query } = request as FastifyRequest & { params: { job: string }; query: LogQuery }
      const gone = new AbortController()
      reply.raw.once('close', () => gone.abort(new RopewalkError('aborted')))
      const log = await bytes.readLog(params.job, query, gone.signal)
      const body = Readable.from(log, { objectMode: false })
      // the head of the answer is out: the reader sees that it was cut
      body.on('error', (error) => logger.info('a log was cut', { reason: toRopewalkError(error).message }))
      return reply
        .type('text/plain; charset=utf-8')
        .header('x-content-type-options', 'nosniff')
        .header('cache-control', 'no-store')
        .send(body)
    },
  })
}

function addPackages(app: FastifyInstance, { bytes, authorize }: Dependencies): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(PACKAGE_TYPE, (_request, payload, done) => done(null, payload))
  app.route({
    method: 'PUT',
    url: `${API_PREFIX}/packages/:package`,
    schema: {
      operationId: 'putPackage',
      summary: 'Bring a packed working directory to a cluster: a zip of at most 100 MiB, named after what is in it',
      consumes: [PACKAGE_TYPE],
      security: [{ bearer: ['write'] }],
      params: z.strictObject({ package: packageNameSchema }),
      querystring: clusterQuerySchema,
      response: { 200: doneSchema },
    },
    onRequest: allow('write', authorize),
    handler: async (request) => {
      const { params, query } = request as FastifyRequest & {
        params: { package: string }
        query: z.output<typeof clusterQuerySchema>
      }
      const length = Number(request.headers['content-length'])
      if (!(request.body instanceof Readable) || !Number.isSafeInteger(length) || length < 1) {
        throw new RopewalkError('bad-input', `A package is a body of ${PACKAGE_TYPE} with a content-length`)
      }
      const gone = new AbortController()
      request.raw.once('close', () => {
        if (!request.raw.complete) gone.abort(new RopewalkError('aborted'))
      })
      const sent = { cluster: query.cluster, bytes: length, content: request.body }
      await bytes.putPackage(params.package, sent, gone.signal)
      return { version: 1, done: true } as const
    },
  })
}
