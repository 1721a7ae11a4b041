import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** How much one source may ask. A source is an IPv4 address or an IPv6 /64, as the socket shows it. */
export interface HttpLimits {
  /** Requests a minute; 1,200 unless said. */
  readonly requestsPerMinute?: number
  /** Requests a minute that fail to prove who asks; 60 unless said. */
  readonly refusalsPerMinute?: number
  /** Above this lag of the event loop the API answers 503, in ms; 1,000 unless said. */
  readonly maxLagMs?: number
}

/** Answers that matter most when nothing else works. */
const ALWAYS = new Set(['/healthz', '/readyz', '/metrics'])

/** Adds the limits; they hold for every route, the unknown ones too. Gives the check of who fails to prove itself. */
export async function addLimits(
  app: FastifyInstance,
  { requestsPerMinute = 1_200, refusalsPerMinute = 60, maxLagMs = 1_000 }: HttpLimits,
): Promise<{ refused(request: FastifyRequest): Promise<void>; mayTry(request: FastifyRequest): Promise<void> }> {
  await app.register(underPressure, {
    maxEventLoopDelay: maxLagMs,
    pressureHandler: (request) => {
      if (!ALWAYS.has(request.routeOptions.url ?? '')) throw new RopewalkError('limit-reached', 'The relay is too busy')
    },
  })
  await app.register(rateLimit, {
    global: false,
    max: requestsPerMinute,
    timeWindow: 60_000,
    cache: 10_000,
    ipv6Subnet: 64,
  })
  app.addHook('onRequest', app.rateLimit())
  const refusals = app.createRateLimit({ max: refusalsPerMinute, timeWindow: 60_000 })
  const tooMany = () => new RopewalkError('rate-limited', 'Too many requests without a valid token; wait a minute')
  return {
    async refused(request) {
      await refusals(request)
    },
    async mayTry(request) {
      const seen = await refusals(request, { increment: false })
      if (!seen.isAllowed && seen.remaining === 0) throw tooMany()
    },
  }
}
