import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import { z } from 'zod'
import type { Authorize } from './bearer.ts'

/** The registry of a process: every room declares its own metrics in it. */
export function createRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'ropewalk_' })
  return registry
}

/** Counts requests, and serves `/metrics` to loopback and to tokens with the scope `metrics`. */
export function addMetrics(
  app: FastifyInstance,
  { registry, authorize }: { readonly registry: Registry; readonly authorize: Authorize },
): void {
  const registers = [registry]
  const labelNames = ['method', 'route', 'status'] as const
  const requests = new Counter({ name: 'ropewalk_http_requests_total', help: 'HTTP requests', labelNames, registers })
  const durations = new Histogram({
    name: 'ropewalk_http_request_duration_seconds',
    help: 'Time to answer HTTP requests',
    labelNames: ['route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2],
    registers,
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'unknown' // the declared one: labels stay few whatever is asked for
    requests.inc({ method: request.method, route, status: `${Math.floor(reply.statusCode / 100)}xx` })
    durations.observe({ route }, reply.elapsedTime / 1_000)
  })
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'metrics',
        summary: 'Prometheus metrics, for loopback or a token with the scope “metrics”',
        security: [{}, { bearer: ['metrics'] }],
        response: { 200: { description: 'Metrics', content: { 'text/plain': { schema: z.string() } } } },
      },
      onRequest: async (request) => {
        if (isLocal(request)) return
        const { words } = await authorize(request)
        if (!words.has('metrics')) {
          throw new RopewalkError('forbidden', 'That needs the scope metrics', {
            hint: 'make a token for it with: ropewalk token create --scope metrics',
          })
        }
      },
    },
    async (_request, reply) => {
      const text = await registry.metrics()
      return reply.type(registry.contentType).send(text)
    },
  )
}

/** From this machine and by nobody's errand: what a proxy on this machine passes on is not local. */
function isLocal({ raw, headers }: FastifyRequest): boolean {
  const address = raw.socket.remoteAddress ?? ''
  const forwarded = ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'].some((name) => headers[name] !== undefined)
  return !forwarded && /^(?:::ffff:)?127\.|^::1$/.test(address)
}
