import { API_PREFIX } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseMark, type Watchers } from '../watchers/index.ts'
import { type Authorize, allow } from './mount.ts'

export interface EventsOptions {
  /** Under `/api/v1`. */
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly watchers: Watchers
  readonly authorize: Authorize
}

/** Adds a stream of server-sent events that begins with a snapshot and goes on with deltas. */
export function addEvents(app: FastifyInstance, options: EventsOptions): void {
  const { path, operationId, summary, description, watchers, authorize } = options
  app.get(
    `${API_PREFIX}${path}`,
    {
      exposeHeadRoute: false, // an answer without a body has no end to wait for
      schema: {
        operationId,
        summary,
        description,
        security: [{ bearer: ['read'] }],
        headers: z.object({ 'last-event-id': z.string().max(128).optional() }),
        response: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: z.string() } } },
        },
      },
      onRequest: allow('read', authorize),
    },
    (request, reply) => {
      const { caller } = request
      if (caller === undefined) throw new RopewalkError('unauthenticated')
      const mark = parseMark(request.headers['last-event-id']?.toString())
      // everything that can refuse does so before the head is written
      if (!watchers.hasRoom) throw new RopewalkError('limit-reached', 'Too many watch already')
      reply.hijack()
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      reply.raw.flushHeaders()
      watchers.watch({ sink: reply.raw, mark, check: () => caller.check?.() })
    },
  )
}
