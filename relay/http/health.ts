import type { WellKnown } from '@ropewalk/peer/discovery'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

/** What the unauthenticated routes tell. */
export interface HealthDependencies {
  /** Why the relay does not serve now; nothing when it does. */
  readonly unready: () => string | undefined
  readonly wellKnown: () => WellKnown
}

const aliveSchema = z.strictObject({ version: z.literal(1), status: z.literal('ok') })

const wellKnownSchema = z.strictObject({
  version: z.literal(1),
  nodeId: z.string(),
  /** The signed node record, base64url. */
  record: z.base64url(),
  /** The certificate bundle, base64url. */
  bundle: z.base64url(),
})

/** Adds what anybody may ask: whether it lives, whether it serves, and who it is. */
export function addHealth(app: FastifyInstance, { unready, wellKnown }: HealthDependencies): void {
  const ok = { version: 1, status: 'ok' } as const
  app.get(
    '/healthz',
    { schema: { operationId: 'alive', summary: 'The process lives', response: { 200: aliveSchema } } },
    async () => ok,
  )
  app.get(
    '/readyz',
    { schema: { operationId: 'ready', summary: 'The relay serves', response: { 200: aliveSchema } } },
    async () => {
      const reason = unready()
      if (reason !== undefined) throw new RopewalkError('draining', reason)
      return ok
    },
  )
  app.get(
    '/.well-known/ropewalk',
    {
      schema: {
        operationId: 'wellKnown',
        summary: 'Who this relay is: its signed record and its certificates',
        response: { 200: wellKnownSchema },
      },
    },
    async (_request, reply) => {
      void reply.header('cache-control', 'no-store')
      return wellKnown()
    },
  )
}
