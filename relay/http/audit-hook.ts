import { type ErrorCode, RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Audit } from '../audit/index.ts'

const READS = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Writes down what callers changed or tried to change, and who was refused. */
export function addAudit(app: FastifyInstance, audit: Audit): void {
  const failures = new WeakMap<FastifyRequest, ErrorCode>()
  app.addHook('onError', async (request, _reply, error) => {
    failures.set(request, codeOf(error))
  })
  app.addHook('onResponse', async (request, reply) => {
    const operation = request.routeOptions.schema?.operationId
    if (operation === undefined) return
    const refused = [401, 403, 429].includes(reply.statusCode)
    if (READS.has(request.method) && !refused) return
    const code = failures.get(request)
    const proven = request.caller !== undefined
    audit.record({
      event: refused ? 'refused' : kebab(operation),
      actor: request.caller?.actor ?? request.ip,
      proven,
      ...subjectOf(request),
      ...(code === undefined ? {} : { code }),
      details: refused ? { what: 'api', operation: kebab(operation) } : {},
    })
  })
}

function subjectOf({ params }: FastifyRequest): { subject?: string } {
  const id: unknown = Object(params).id
  return typeof id === 'string' ? { subject: id } : {}
}

function codeOf(error: Error & { readonly statusCode?: number }): ErrorCode {
  if (error instanceof RopewalkError) return error.code
  const status = error.statusCode ?? 500
  return status === 429 ? 'rate-limited' : status < 500 ? 'bad-input' : 'internal'
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
