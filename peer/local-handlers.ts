import { type Peer, pageOf, type peerApi, type Status, type StreamQuery } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type Service, serviceSchema } from '@ropewalk/shared/policy'
import type { Handlers, OpenedStream } from './api/index.ts'
import type { Member } from './discovery/index.ts'
import { jobHandlers } from './job-handlers.ts'
import type { Rooms } from './rooms.ts'
import { relaysOf } from './routes.ts'
import { runtimeHandlers } from './runtime-handlers.ts'
import { measuredView, runtimeView } from './runtime-view.ts'
import { admitStock } from './stock-devices.ts'
import { warningsOf } from './warnings.ts'

const version = 1 as const
const done = { version, done: true } as const

/** The peer's answers on its own sockets. */
export function localHandlers(rooms: Rooms, shutdown: () => void): Handlers<typeof peerApi> {
  const { discovery, services, tunnels, mesh } = rooms
  return {
    ...runtimeHandlers(discovery, rooms.runtime),
    ...jobHandlers(rooms.runtime.jobs),
    status: async () => status(rooms),
    peers: async ({ query }) => {
      const { items, nextCursor } = pageOf(discovery.members(), ({ nodeId }) => nodeId, query)
      const peers = items.map((member) => peerView(rooms, member))
      return { version, peers, ...(nextCursor === undefined ? {} : { nextCursor }) }
    },
    peer: async ({ params }) => ({ version, peer: peerView(rooms, findMember(rooms, params.peer)) }),
    paths: async ({ params }) => {
      const member = findMember(rooms, params.peer)
      return { version, peer: member.name, paths: peerView(rooms, member).paths }
    },
    ping: async ({ body }) => {
      const member = findMember(rooms, body.peer)
      const address = member.addresses.v6
      const rttMs = await mesh.ping(address, { timeoutMs: body.timeoutMs })
      return { version, peer: member.name, address, rttMs, path: pathWords(rooms, member) }
    },
    services: async ({ query }) => {
      const offered = [discovery.self, ...discovery.members()].flatMap(({ name, nodeId, record }) => {
        const list = nodeId === discovery.self.nodeId ? services.list() : servicesOf(record)
        return list.map((service) => ({ ...service, peer: name, nodeId }))
      })
      const { items, nextCursor } = pageOf(offered, ({ nodeId, name }) => `${nodeId} ${name}`, query)
      return { version, services: items, ...(nextCursor === undefined ? {} : { nextCursor }) }
    },
    expose: async ({ body }) => {
      services.expose(body)
      return { version, service: body }
    },
    unexpose: async ({ params }) => {
      services.unexpose(params.name)
      return done
    },
    topology: async () => rooms.topology.snapshot(),
    streams: async ({ query }) => {
      const { items, nextCursor } = pageOf(tunnels.streams(), ({ id }) => id, query)
      return { version, streams: items, ...(nextCursor === undefined ? {} : { nextCursor }) }
    },
    endStream: async ({ params }) => {
      tunnels.endStream(params.id)
      return done
    },
    revoke: async ({ body }) => {
      await discovery.revoke(Buffer.from(body.statement, 'base64url'))
      return done
    },
    setPolicy: async ({ body }) => {
      await discovery.setPolicy(Buffer.from(body.statement, 'base64url'))
      return done
    },
    admitStock: async ({ body }) => ({
      version,
      ...admitStock(discovery, Buffer.from(body.statement, 'base64url')),
    }),
    runtime: async () => runtimeView(rooms.runtime.offer),
    measureLink: async () => measuredView(rooms.runtime.offer),
    shutdown: async () => {
      setImmediate(shutdown) // the answer first
      return done
    },
  }
}

/** Opens a stream to a member's service for a program on this machine. @throws RopewalkError with the reason */
export async function openLocalStream(rooms: Rooms, query: StreamQuery, signal: AbortSignal): Promise<OpenedStream> {
  const { nodeId } = findMember(rooms, query.peer)
  const { stream } = await rooms.tunnels.open({ nodeId, service: query.service, via: query.via, signal })
  return stream
}

function findMember({ discovery }: Rooms, text: string): Member {
  const member = discovery.member(text)
  if (member === undefined) {
    throw new RopewalkError('unknown-peer', `No member is called “${text}”`, { hint: 'ropewalk peers' })
  }
  if (member.nodeId === discovery.self.nodeId) throw new RopewalkError('bad-input', 'That is this node itself')
  return member
}

function peerView({ connectivity }: Rooms, member: Member): Peer {
  const link = connectivity.link(member.nodeId)
  const { record } = member
  const away =
    member.state === 'gone' || member.state === 'revoked' || (member.state === 'silent' && link?.state === 'connecting')
  return {
    name: member.name,
    nodeId: member.nodeId,
    addresses: [member.addresses.v6, member.addresses.v4],
    tags: [...member.tags],
    state: away ? 'offline' : (link?.state ?? 'connecting'),
    rttMs: link?.rttMs ?? null,
    txBytes: link?.txBytes ?? 0,
    rxBytes: link?.rxBytes ?? 0,
    lastHandshakeSeconds: link?.lastHandshakeSeconds ?? null,
    services: servicesOf(record),
    sshHostKeys: [...(record?.sshHostKeys ?? [])],
    paths: (link?.paths ?? []).map(({ via: _via, ...path }) => path),
  }
}

/** What a record offers, as far as it makes sense here: another version may have other words. */
function servicesOf(record: Member['record']): Service[] {
  return (record?.services ?? []).flatMap((service) => {
    const parsed = serviceSchema.safeParse({ ...service, http: service.http === true })
    return parsed.success ? [parsed.data] : []
  })
}

/** `direct`, or a kind and the relay's name. */
function pathWords({ connectivity, discovery }: Rooms, { nodeId }: Member): string {
  const link = connectivity.link(nodeId)
  if (link === undefined) return 'connecting'
  const name = link.via === undefined ? undefined : discovery.member(link.via)?.name
  return name === undefined ? link.state : `${link.state} ${name}`
}

function status(rooms: Rooms): Status {
  const { discovery, device, connectivity, tunnels, startedAtMs } = rooms
  const { self, network } = discovery
  const links = connectivity.links()
  const agents = tunnels.relays()
  const members = discovery.members()
  return {
    version,
    self: {
      name: self.name,
      nodeId: self.nodeId,
      network: network.name,
      addresses: [self.addresses.v6, self.addresses.v4],
      wireguardPublicKey: self.wireguardKey,
      mode: device.backend === 'tun' ? 'tun' : 'rootless',
      uptimeSeconds: Math.round((Date.now() - startedAtMs) / 100) / 10,
    },
    relays: relaysOf(discovery).map(({ url, nodeId }) => {
      const agent = agents.find(({ relay }) => relay.nodeId === nodeId)
      const linked = discovery.connectedTo(nodeId)
      const state = agent === undefined ? (linked ? 'connected' : 'connecting') : linked ? agent.state : 'connecting'
      const rttMs = discovery.rttMs(nodeId) ?? agent?.rttMs ?? null
      return { url, name: discovery.member(nodeId)?.name ?? nodeId, state, rttMs }
    }),
    peers: {
      known: members.length,
      online: members.filter(({ state }) => state === 'online').length,
      direct: links.filter(({ state }) => state === 'direct').length,
      relayed: links.filter(({ state }) => state !== 'direct' && state !== 'connecting').length,
    },
    warnings: warningsOf(rooms),
  }
}
