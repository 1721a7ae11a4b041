import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { API_PREFIX } from '@ropewalk/shared/api'
import { PROBLEM_TYPE } from '@ropewalk/shared/errors'
import { deltaSchema, snapshotSchema } from '@ropewalk/shared/topology'
import type { FastifyInstance } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { z } from 'zod'

const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int().min(400).max(599),
  code: z.string(),
  detail: z.string(),
  hint: z.string().optional(),
})

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

/** Adds the description of the API, made out of its routes, and its reference page. Before any route. */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ropewalk relay',
        version,
        description: 'The network as this relay knows it. Tokens are made with `ropewalk token create`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'A token that begins with rwt1_' } },
        schemas: {
          Problem: jsonSchema(problemSchema),
          TopologySnapshot: jsonSchema(snapshotSchema),
          TopologyDelta: jsonSchema(deltaSchema),
        },
      },
    },
    transform: (document) => {
      const { schema, url } = jsonSchemaTransform(document as Parameters<typeof jsonSchemaTransform>[0])
      if (schema.hide === true) return { schema, url }
      const problem = { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } }
      const responses = { ...Object(schema.response), default: { description: 'Why not (RFC 9457)', content: problem } }
      return { schema: { ...schema, response: responses }, url }
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { url: `${API_PREFIX}/openapi.json`, docExpansion: 'list', persistAuthorization: false },
    staticCSP: DOCS_CSP,
  })
  let text: string | undefined
  app.get(`${API_PREFIX}/openapi.json`, { schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger())
    return reply.type('application/json').send(text)
  })
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema)
  return rest
}
