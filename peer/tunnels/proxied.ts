import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { evaluate, type Grant, type Party, type Policy, type Service } from '@ropewalk/shared/policy'
import type { TunnelMember, TunnelMembers } from '@ropewalk/shared/tunnel'
import type { SpliceBytes, Splicer } from 'node-wireguard'
import type { Allowance, Place } from './allowance.ts'
import { breakOff } from './break-off.ts'
import { join } from './join.ts'
import { joinSockets } from './join-sockets.ts'
import type { LiveStreams } from './live-streams.ts'
import { dialLoopback } from './loopback.ts'
import type { Services } from './services.ts'

/** What decides about connections to exposed ports. */
export interface ProxiedDependencies {
  readonly members: TunnelMembers
  readonly services: Services
  readonly policy: () => Policy
  /** What leases open here now. */
  readonly grants: () => readonly Grant[]
  readonly self: () => Party
  readonly live: LiveStreams
  readonly allowance: Allowance
  readonly logger: Logger
  /** Joins sockets of the kernel; what else there is goes through JavaScript, which hears of a reset that no socket carries. */
  readonly splicer: Splicer
}

/** A connection through the mesh. */
export interface Proxied {
  readonly socket: Socket
  readonly isKernels: boolean
}

/**
 * Leads a connection to an exposed port's service. The engine's filter has let it in where it came through the mesh; where
 * it did not, its sender is no member, and it ends here. It lives as long as its member may reach the service.
 */
export function proxy(
  { socket, isKernels }: Proxied,
  service: Service,
  signal: AbortSignal,
  dependencies: ProxiedDependencies,
): void {
  const { members, live, allowance, logger, self, splicer } = dependencies
  const visitor = memberAt(members, socket)
  const place = allowance.take()
  socket.once('close', () => place?.free())
  try {
    admit(visitor, place)
    const reason = objection(visitor, service, dependencies)
    if (reason !== undefined) throw reason
  } catch (error) {
    refuse(error)
    return
  }
  const openedAt = Date.now()
  const id = randomBytes(16).toString('hex')
  let bytes = (): SpliceBytes => ({ forth: socket.bytesRead, back: socket.bytesWritten })
  const ended = live.add({
    describe: () => ({
      id,
      role: 'agent',
      via: 'mesh',
      visitor: visitor.name,
      agent: self().name,
      service: service.name,
      openedAt,
      txBytes: bytes().forth,
      rxBytes: bytes().back,
    }),
    verdict: async () => objection(members.member(visitor.nodeId), service, dependencies),
    // the service's side follows, as with every side that breaks
    cut: (reason) => {
      logger.info('mesh connection cut', { visitor: visitor.name, service: service.name, code: reason.code })
      breakOff(socket)
    },
  })
  socket.once('close', ended)
  dialLoopback(service.port, signal).then(lead, refuse)

  function lead(target: Socket): void {
    if (!isKernels || socket.destroyed) {
      join(socket, target)
      return
    }
    const splice = joinSockets(splicer, socket, target)
    bytes = () => splice.bytes
  }

  function refuse(error: unknown): void {
    const { code, message } = toRopewalkError(error)
    logger.debug('mesh connection refused', { service: service.name, from: socket.remoteAddress, code, message })
    breakOff(socket)
  }
}

/** The member whose mesh address a connection comes from. */
export function memberAt(members: TunnelMembers, { remoteAddress }: Socket): TunnelMember | undefined {
  return remoteAddress === undefined ? undefined : members.at(remoteAddress)
}

function admit(visitor: TunnelMember | undefined, place: Place | undefined): asserts visitor is TunnelMember {
  if (visitor === undefined) throw new RopewalkError('forbidden', 'No member has that address')
  if (place === undefined) throw new RopewalkError('limit-reached', 'Too many connections at once')
  place.claim(visitor.nodeId)
}

function objection(
  visitor: TunnelMember | undefined,
  { port }: Service,
  { services, policy, self }: ProxiedDependencies,
): RopewalkError | undefined {
  if (visitor === undefined || visitor.revoked) return new RopewalkError('revoked', 'It is a member no more')
  const worker = self()
  const wanted = { protocol: 'tcp' as const, port }
  const exposed = services.list()
  // who sits at this machine reaches its loopback anyway
  if (visitor.nodeId === worker.nodeId && exposed.some((one) => one.port === port && one.protocol === 'tcp')) return
  const decision = evaluate(policy(), { visitor, worker, wanted, exposed })
  return decision.allowed ? undefined : new RopewalkError(decision.code, decision.reason)
}
