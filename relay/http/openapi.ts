import swaggerUi from '@fastify/swagger-ui'
import { addOpenApi } from '@ropewalk/peer/api'
import { API_PREFIX } from '@ropewalk/shared/api'
import { deltaSchema, snapshotSchema } from '@ropewalk/shared/topology'
import type { FastifyInstance } from 'fastify'

const DOCS_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Adds the description of the relay's API and its reference page. Before any route. */
export async function addDescription(app: FastifyInstance, version: string): Promise<void> {
  await addOpenApi(app, {
    title: 'ropewalk relay',
    version,
    description: [
      'The network as this relay knows it. Tokens are made with `ropewalk token create`.',
      'Of clusters it knows what each worker offers (`/devices`); the clusters themselves, their leases and jobs are known',
      'to the peer that hired them, which serves `/clusters`, `/leases` and `/jobs` on its own socket.',
    ].join(' '),
    callers: 'bearer',
    schemas: { TopologySnapshot: snapshotSchema, TopologyDelta: deltaSchema },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { url: `${API_PREFIX}/openapi.json`, docExpansion: 'list', persistAuthorization: false },
    staticCSP: DOCS_CSP,
  })
}
