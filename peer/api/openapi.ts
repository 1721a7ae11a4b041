import swagger from '@fastify/swagger'
import { API_PREFIX } from '@ropewalk/shared/api'
import { PROBLEM_TYPE } from '@ropewalk/shared/errors'
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

/** What an API's description says beside its routes. */
export interface Described {
  readonly title: string
  readonly version: string
  readonly description: string
  /** How callers prove themselves: by a token, or by being able to open the socket. */
  readonly callers: 'bearer' | 'socket'
  /** Forms that the routes' own descriptions speak of, by name. */
  readonly schemas: Readonly<Record<string, z.ZodType>>
}

/** Adds `/api/v1/openapi.json`, made out of the app's routes. Before any route. */
export async function addOpenApi(app: FastifyInstance, described: Described): Promise<void> {
  const { title, version, description, callers, schemas } = described
  const bearer = { type: 'http', scheme: 'bearer', description: 'A token that begins with rwt1_' } as const
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title, version, description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      servers: [{ url: '/' }],
      components: {
        ...(callers === 'bearer' ? { securitySchemes: { bearer } } : {}),
        schemas: Object.fromEntries(
          Object.entries({ Problem: problemSchema, ...schemas }).map(([name, schema]) => [name, jsonSchema(schema)]),
        ),
      },
    },
    transform: (document) => {
      const { schema, url } = jsonSchemaTransform(document as Parameters<typeof jsonSchemaTransform>[0])
      if (schema.hide === true) return { schema, url }
      const problem = { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } }
      const responses = { ...Object(schema.response), default: { description: 'Why not (RFC 9457)', content: problem } }
      const { security, ...rest } = schema
      const proof = callers === 'bearer' ? { security } : { description: scopeWords(schema) }
      return { schema: { ...rest, ...proof, response: responses } as typeof schema, url }
    },
  })
  let text: string | undefined
  app.get(`${API_PREFIX}/openapi.json`, { schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger())
    return reply.type('application/json').send(text)
  })
}

/** Where no scheme of OpenAPI fits, the scope is told in words. */
function scopeWords({ security, description }: { security?: unknown; description?: unknown }): string {
  const [{ bearer: [scope = 'read'] = [] } = {}] = (security ?? []) as readonly { readonly bearer?: string[] }[]
  return [description, `Needs a socket with the scope \`${scope}\`.`].filter((part) => part !== undefined).join(' ')
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema)
  return rest
}
