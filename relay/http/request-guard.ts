import { RopewalkError } from '@ropewalk/shared/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Headers that decide something; said twice, two readers of one request could each believe another. */
const SINGLE = ['authorization', 'host', 'content-type', 'last-event-id'] as const

/**
 * Refuses requests of which two readers could think differently, before anything looks at them: absolute targets
 * (zrok 2.0.3), headers said twice (frp CVE-2026-40910). Forwarded headers are read by nobody here (coder
 * GHSA-5g4w-3vw9-478w): the source is the socket's, the host is nothing that decides.
 */
export function addRequestGuard(app: FastifyInstance): void {
  app.addHook('onRequest', async (request) => {
    const target = request.raw.url ?? ''
    if (!target.startsWith('/') || target.startsWith('//')) {
      throw new RopewalkError('bad-input', 'The request target must be a path')
    }
    const twice = SINGLE.find((name) => count(request, name) > 1)
    if (twice !== undefined) throw new RopewalkError('bad-input', `The header ${twice} is there more than once`)
  })
  // who was refused before its body was read has no claim to have it read: it would be bytes for nothing
  app.addHook('onSend', async (request, reply) => {
    const { headers, complete } = request.raw
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
    if (reply.statusCode < 400 || complete || !hasBody) return
    void reply.header('connection', 'close')
    reply.raw.once('finish', () => request.raw.destroy())
  })
}

function count({ raw }: FastifyRequest, name: string): number {
  let times = 0
  for (let i = 0; i < raw.rawHeaders.length; i += 2) if (raw.rawHeaders[i]?.toLowerCase() === name) times++
  return times
}
