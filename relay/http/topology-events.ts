import { API_PREFIX } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { parseMark, type Watchers } from '../topology/index.ts'
import type { Authorize, Bearer } from './bearer.ts'

/** Adds `GET /topology/events`: server-sent events that begin with a snapshot and go on with deltas. */
export function addTopologyEvents(
  app: FastifyInstance,
  { watchers, authorize }: { readonly watchers: Watchers; readonly authorize: Authorize },
): void {
  const bearers = new WeakMap<object, Bearer>()
  app.get(
    `${API_PREFIX}/topology/events`,
    {
      exposeHeadRoute: false, // an answer without a body has no end to wait for
      schema: {
        operationId: 'topologyEvents',
        summary: 'The topology as it changes',
        description: [
          'Server-sent events. The first is `snapshot` (TopologySnapshot), then come `delta`s (TopologyDelta).',
          'A reader that comes back with `Last-Event-ID` is given what it missed, or a new snapshot. `end` (Problem) is',
          'the last event when the relay ends the stream.',
        ].join(' '),
        security: [{ bearer: ['read'] }],
        headers: z.object({ 'last-event-id': z.string().max(128).optional() }),
        response: {
          200: { description: 'Events', content: { 'text/event-stream': { schema: z.string() } } },
        },
      },
      onRequest: async (request) => {
        const bearer = await authorize(request)
        if (!bearer.scopes.has('read')) throw new RopewalkError('forbidden', 'That needs the scope read')
        bearers.set(request, bearer)
      },
    },
    (request, reply) => {
      const bearer = bearers.get(request)
      if (bearer === undefined) throw new RopewalkError('unauthenticated')
      const mark = parseMark(request.headers['last-event-id']?.toString())
      // everything that can refuse does so before the head is written
      if (!watchers.hasRoom) throw new RopewalkError('limit-reached', 'Too many watch the topology already')
      reply.hijack()
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      reply.raw.flushHeaders()
      watchers.watch({ sink: reply.raw, mark, check: () => bearer.check() })
    },
  )
}
