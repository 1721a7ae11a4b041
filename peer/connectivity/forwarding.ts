import { RopewalkError } from '@ropewalk/shared/errors'
import {
  decodeForwardRequest,
  encodeForwardGrant,
  FORWARD_LIMIT_BYTES,
  FORWARD_PROTOCOL,
  type ForwardEndpoint,
} from '@ropewalk/shared/forward'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Forwarder } from 'node-wireguard'
import type { Discovery } from '../discovery/index.ts'
import { ForwardBroker, type SessionTable } from './forward-broker.ts'

const SESSIONS_PER_MEMBER = 4_096
const GIB = 2 ** 30
/** Generous: a gigabit both ways for an hour is less. Who needs more has a direct path, or a relay of its own. */
const MEMBER_BYTES_PER_HOUR = 1024 * GIB
/** Between two looks a line of 50 Gbit/s carries half of it. */
const SESSION_QUOTA_BYTES = 64 * GIB
const REVIEW_MS = 5_000

export interface ForwardingOptions {
  /** Where the forwarder can be reached from outside. */
  readonly endpoints: readonly ForwardEndpoint[]
}

export interface ForwardingDependencies {
  readonly forwarder: Forwarder
  readonly discovery: Discovery
  readonly logger: Logger
  /** Milliseconds that never jump. */
  readonly nowMs: () => number
}

/** Gives members sessions in this node's forwarder, and takes them away from whoever is revoked. */
export function createForwarding(options: ForwardingOptions, dependencies: ForwardingDependencies): Startable {
  const { discovery, forwarder, logger, nowMs } = dependencies
  const table: SessionTable = {
    setSessions(add, remove) {
      // the engine is told ends by the wall clock, and turns them into spans at once
      const wallMs = Date.now() - nowMs()
      const sessions = add.map(({ id, a, b, expiresAtMs, quotaBytes }) => {
        return { id, a, b, expiresAtMs: Math.floor(expiresAtMs + wallMs), quotaBytes }
      })
      forwarder.setSessions(sessions, [...remove])
    },
  }
  const broker = new ForwardBroker(
    {
      ...options,
      sessionsPerMember: SESSIONS_PER_MEMBER,
      sessionQuotaBytes: SESSION_QUOTA_BYTES,
      memberBytesPerHour: MEMBER_BYTES_PER_HOUR,
    },
    table,
  )
  const review = (): void => {
    try {
      const left = forwarder.status().sessions.flatMap(({ id, quotaLeftBytes }) => {
        return quotaLeftBytes === undefined ? [] : { id, quotaLeftBytes }
      })
      broker.review(left, nowMs())
    } catch (error) {
      logger.error('quotas of forwarder sessions not looked at', { error })
    }
  }
  const undo: (() => void)[] = []
  return startable({
    start() {
      const timer = setInterval(review, REVIEW_MS)
      undo.push(
        () => clearInterval(timer),
        discovery.handle(FORWARD_PROTOCOL, { maxBytes: FORWARD_LIMIT_BYTES }, async (bytes, from) => {
          const { peer } = decodeForwardRequest(bytes)
          if (discovery.member(peer) === undefined) throw new RopewalkError('unknown-peer')
          logger.debug('forwarder session given', { member: from.nodeId, peer })
          return encodeForwardGrant(broker.grant(from.nodeId, peer, nowMs()))
        }),
        discovery.onChange((event) => {
          if (event.kind === 'revoked' || event.kind === 'left') broker.cut(event.member.nodeId)
        }),
      )
    },
    stop() {
      for (const step of undo.splice(0)) step()
    },
  })
}
