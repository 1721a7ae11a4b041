import { API_PREFIX } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance } from 'fastify'

/** What only the peer that hired can answer. */
const PARTS = ['clusters', 'leases', 'jobs', 'packages', 'events']

/** Says who knows what a relay does not (decision 0028). */
export function addElsewhere(app: FastifyInstance): void {
  const handler = async (): Promise<never> => {
    throw new RopewalkError('not-found', 'A relay knows no clusters, leases and jobs: the peer that hired them does', {
      hint: 'there: ropewalk cluster list, or its control.sock with the same path; here: /api/v1/devices',
    })
  }
  for (const part of PARTS) {
    app.all(`${API_PREFIX}/${part}`, { schema: { hide: true } }, handler)
    app.all(`${API_PREFIX}/${part}/*`, { schema: { hide: true } }, handler)
  }
}
