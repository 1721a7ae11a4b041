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

export interface ForwardingOptions {
  /** Where the forwarder can be reached from outside. */
  readonly endpoints: readonly ForwardEndpoint[]
}

export interface ForwardingDependencies {
  readonly forwarder: Forwarder
  readonly discovery: Discovery
  readonly logger: Logger
  readonly nowMs: () => number
}

/** Gives members sessions in this node's forwarder, and takes them away from whoever is revoked. */
export function createForwarding(options: ForwardingOptions, dependencies: ForwardingDependencies): Startable {
  const { discovery, forwarder, logger, nowMs } = dependencies
  const table: SessionTable = { setSessions: (add, remove) => forwarder.setSessions([...add], [...remove]) }
  const broker = new ForwardBroker({ ...options, sessionsPerMember: SESSIONS_PER_MEMBER }, table)
  const undo: (() => void)[] = []
  return startable({
    start() {
      undo.push(
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
