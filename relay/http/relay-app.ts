import helmet from '@fastify/helmet'
import { addManners, mount } from '@ropewalk/peer/api'
import type { Topology } from '@ropewalk/peer/topology'
import type { Watchers } from '@ropewalk/peer/watchers'
import { relayApi } from '@ropewalk/shared/api'
import type { Logger } from '@ropewalk/shared/logger'
import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { addAudit } from './audit-hook.ts'
import { type Authorize, type BearerDependencies, createBearerGate } from './bearer.ts'
import { addElsewhere } from './elsewhere.ts'
import { createHandlers, type HandlerDependencies } from './handlers.ts'
import { addHealth, type HealthDependencies } from './health.ts'
import { addLimits, type HttpLimits } from './limits.ts'
import { addMetrics } from './metrics.ts'
import { addDescription } from './openapi.ts'
import { addRequestGuard } from './request-guard.ts'
import { addTopologyEvents } from './topology-events.ts'

export interface RelayAppOptions {
  /** Of the program, for the API's description. */
  readonly version: string
  readonly limits?: HttpLimits
}

export interface RelayAppDependencies extends HandlerDependencies, HealthDependencies {
  readonly bearers: BearerDependencies
  readonly topology: Topology
  readonly watchers: Watchers
  readonly registry: Registry
  readonly logger: Logger
}

/** Everything that the relay answers over HTTP, put into a Fastify app; knows no process, port or TLS. */
export async function addRelay(
  app: FastifyInstance,
  options: RelayAppOptions,
  dependencies: RelayAppDependencies,
): Promise<void> {
  const { bearers, watchers, registry, audit, logger } = dependencies
  addManners(app, logger)
  addRequestGuard(app)
  addAudit(app, audit)
  const limits = await addLimits(app, options.limits ?? {})
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    referrerPolicy: { policy: 'no-referrer' },
  })
  await addDescription(app, options.version)
  const gate = createBearerGate(bearers)
  const authorize: Authorize = async (request) => {
    await limits.mayTry(request)
    try {
      return gate.authorize(request)
    } catch (error) {
      await limits.refused(request)
      throw error
    }
  }
  addMetrics(app, { registry, authorize })
  addHealth(app, dependencies)
  mount(app, { contract: relayApi, handlers: createHandlers(dependencies), authorize })
  addTopologyEvents(app, { watchers, authorize })
  addElsewhere(app)
}
