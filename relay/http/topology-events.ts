import { addEvents } from '@ropewalk/peer/api'
import type { Watchers } from '@ropewalk/peer/watchers'
import type { FastifyInstance } from 'fastify'
import type { Authorize } from './bearer.ts'

/** Adds `GET /topology/events`: server-sent events that begin with a snapshot and go on with deltas. */
export function addTopologyEvents(
  app: FastifyInstance,
  { watchers, authorize }: { readonly watchers: Watchers; readonly authorize: Authorize },
): void {
  addEvents(app, {
    path: '/topology/events',
    operationId: 'topologyEvents',
    summary: 'The topology as it changes',
    description: [
      'Server-sent events. The first is `snapshot` (TopologySnapshot), then come `delta`s (TopologyDelta).',
      'A reader that comes back with `Last-Event-ID` is given what it missed, or a new snapshot. `end` (Problem) is',
      'the last event when the relay ends the stream.',
    ].join(' '),
    watchers,
    authorize,
  })
}
