import { API_PREFIX, type Contract, type Endpoint, type Scope } from '@ropewalk/shared/api'
import { PROBLEM_TYPE, RopewalkError, toProblem, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { z } from 'zod'

type Parsed<E, K extends string> = E extends { readonly [P in K]: infer S extends z.ZodType }
  ? { readonly [P in K]: z.output<S> }
  : Record<never, never>

/** What a handler is given: the request's parts, parsed by the contract. */
export type HandlerInput<E extends Endpoint> = Parsed<E, 'params'> & Parsed<E, 'query'> & Parsed<E, 'body'>

/** Who asks, as the authorizer proved it. */
export interface Caller {
  /** For the audit log: a token's name, or the socket. */
  readonly actor: string
  readonly scopes: ReadonlySet<Scope>
  /** Whether it counts still, for what lasts. @throws RopewalkError with the reason when not */
  readonly check?: () => void
}

/** One function for each operation of a contract. */
export type Handlers<C extends Contract> = {
  readonly [K in keyof C]: (input: HandlerInput<C[K]>, caller: Caller) => Promise<z.output<C[K]['answer']>>
}

/** Proves who asks. @throws RopewalkError `unauthenticated` */
export type Authorize = (request: FastifyRequest) => Promise<Caller> | Caller

export interface MountOptions<C extends Contract> {
  readonly contract: C
  readonly handlers: Handlers<C>
  readonly authorize: Authorize
}

/** Gives a Fastify app the product's manners: zod schemas, problem+json for every error, the log of what is a bug. */
export function addManners(app: FastifyInstance, logger: Logger): void {
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]
    const problem = toProblem(new RopewalkError('not-found', `There is no ${request.method} ${path} here`))
    void reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = describe(error)
    if (known.code === 'internal') {
      logger.error('request failed', { method: request.method, route: request.routeOptions.url, error })
    }
    const problem = toProblem(known)
    void reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
  })
}

/** Makes the routes of a contract. The caller's scope is checked before its handler is asked. */
export function mount<const C extends Contract>(app: FastifyInstance, options: MountOptions<C>): void {
  for (const [name, endpoint] of Object.entries(options.contract)) {
    const handler = options.handlers[name] as (input: object, caller: Caller) => Promise<unknown>
    app.route({
      method: endpoint.method,
      url: `${API_PREFIX}${endpoint.path}`,
      schema: {
        operationId: name,
        summary: endpoint.summary,
        security: [{ bearer: [endpoint.scope] }],
        ...(endpoint.params === undefined ? {} : { params: endpoint.params }),
        ...(endpoint.query === undefined ? {} : { querystring: endpoint.query }),
        ...(endpoint.body === undefined ? {} : { body: endpoint.body }),
        response: { 200: endpoint.answer },
      },
      onRequest: allow(endpoint.scope, options.authorize),
      handler: async (request) => {
        const { params, query, body, caller } = request
        if (caller === undefined) throw new RopewalkError('unauthenticated')
        return await handler({ params, query, body }, caller)
      },
    })
  }
}

/** The hook that lets nobody in without this scope. */
export function allow(scope: Scope, authorize: Authorize): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    const caller = await authorize(request)
    if (!caller.scopes.has(scope)) throw new RopewalkError('forbidden', `That needs the scope ${scope}`)
    request.caller = caller
  }
}

/** Fastify's own complaints in our codes. */
function describe(error: FastifyError): RopewalkError {
  const [issue] = error.validation ?? []
  if (issue !== undefined) {
    const place = [error.validationContext, ...issue.instancePath.split('/').filter(Boolean)].join('.')
    return new RopewalkError('bad-input', `The request is not as the API asks: ${place}: ${issue.message ?? 'invalid'}`)
  }
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new RopewalkError('too-large', 'The body is too large')
  if (error.statusCode === 429) return new RopewalkError('rate-limited')
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new RopewalkError('bad-input', error.message)
  }
  return toRopewalkError(error)
}

declare module 'fastify' {
  interface FastifyRequest {
    caller?: Caller
  }
}
