import { lookup } from 'node:dns/promises'
import { isIP, isIPv6 } from 'node:net'
import { createPeer, type Rooms, tunnelMembers } from '@ropewalk/peer'
import { createForwarding } from '@ropewalk/peer/connectivity'
import { acceptTicket, openState } from '@ropewalk/peer/state'
import { messageOf, RopewalkError } from '@ropewalk/shared/errors'
import { parseName } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { parseTicket, rightsAdmit } from '@ropewalk/shared/membership'
import { Forwarder } from 'node-wireguard'
import { createAudit } from './audit/index.ts'
import { keepSelfSigned, readTlsFiles } from './certificate/index.ts'
import { registerForwarderMetrics } from './forwarder-metrics.ts'
import { createRegistry, createWeb, type Tls } from './http/index.ts'
import type { RelayOptions } from './options.ts'
import { auditOf } from './tunnel-audit.ts'
import {
  createFront,
  createNoiseLimit,
  createRelayTunnels,
  createSources,
  createTunnelMetrics,
  createWebDoor,
} from './tunnels/index.ts'

/** Slots of whoever has proven nothing yet: one address cannot take them all. */
const SOURCES = { perSource: 64, total: 4_096 } as const
/** HTTP connections that have asked something: a house behind one address may have many browsers. */
const HTTP_CONNECTIONS = { perSource: 256, total: 4_096 } as const

export interface RelayDependencies {
  readonly logger: Logger
  readonly shutdown: () => void
}

/** A peer with a public front. */
export interface Relay extends Startable {
  /** @throws Error before `start` has returned */
  readonly rooms: Rooms
  /** Its public address, once started. */
  readonly url: string
}

export function createRelay(options: RelayOptions, dependencies: RelayDependencies): Relay {
  const running: Startable[] = []
  let started: { rooms: Rooms; url: string } | undefined
  const life = startable({
    async start(signal) {
      started = await assemble(options, dependencies, async (part) => {
        signal.throwIfAborted()
        running.push(part)
        await part.start({ signal })
        return part
      })
    },
    async stop() {
      for (let part = running.pop(); part !== undefined; part = running.pop()) await part.stop()
    },
  })
  const get = () => {
    if (started === undefined) throw new Error('the relay has not started')
    return started
  }
  return {
    get rooms() {
      return get().rooms
    },
    get url() {
      return get().url
    },
    start: (start) => life.start(start),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}

type Run = <T extends Startable>(part: T) => Promise<T>

async function assemble(options: RelayOptions, { logger, shutdown }: RelayDependencies, run: Run) {
  const nowMs = () => Date.now()
  const url = await takeTicket(options)
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const tls = await readTls(options, host)
  const loopbackOnly = options.peer.interfaces?.every((name) => name === 'lo') === true
  const udp = loopbackOnly ? ['127.0.0.1', '::1'] : ['0.0.0.0', '::']
  const forwarder = await openForwarder(udp, options.udpPort)
  let unready: string | undefined
  forwarder.closed.catch((error: unknown) => {
    unready = `The packet forwarder has failed: ${messageOf(error)}`
    logger.error('forwarder failed', { error })
  })
  await run(startable({ start: () => undefined, stop: () => forwarder.close() }))
  const announce = options.peer.listenPort === undefined ? [] : [multiaddrOf(host, options.peer.listenPort)]
  const { ticket: _taken, ...peerOptions } = options.peer
  const front = { url, udpPort: options.udpPort }
  const peer = await run(createPeer({ ...peerOptions, relay: { front, announce } }, { logger, shutdown }))
  const { rooms } = peer
  const { discovery, topology } = rooms
  await run(
    createForwarding(
      { endpoints: await endpointsOf(host, options.udpPort) },
      { forwarder, discovery, logger: logger.child({ room: 'connectivity' }), nowMs: () => performance.now() },
    ),
  )
  const registry = createRegistry()
  registerForwarderMetrics(registry, () => forwarder.status())
  const metrics = createTunnelMetrics(registry)
  const audit = createAudit({}, { logger: logger.child({ room: 'audit' }), nowMs })
  const sources = createSources(SOURCES)
  const noise = createNoiseLimit()
  const { nodeKey } = (await rooms.state.identity.read()) ?? {}
  if (nodeKey === undefined) throw new RopewalkError('state-missing', 'The state folder holds no node key')
  const tunnels = await run(
    createRelayTunnels(
      { insecureLoopback: tls.kind === 'none' },
      {
        key: nodeKey,
        members: tunnelMembers(discovery),
        sources,
        logger: logger.child({ room: 'tunnels' }),
        onEvent: (event) => {
          metrics.count(event)
          const isNoise = event.event === 'refused' && event.what !== 'stream'
          if (!isNoise || noise.pass() !== undefined) audit.record(auditOf(event))
        },
      },
    ),
  )
  metrics.watch(tunnels)
  const web = await run(
    createWeb(
      { tls, version: options.version },
      {
        upgrade: (request, socket, head) => tunnels.upgrade(request, socket, head),
        bearers: {
          view: () => ({
            network: discovery.network,
            nowMs: nowMs(),
            revocations: discovery.revocations(),
            mayIssue: (issuer) => rightsAdmit(discovery.member(issuer)?.rights ?? []),
          }),
          nameOf: (nodeId) => discovery.member(nodeId)?.name,
        },
        discovery,
        topology,
        tunnels,
        audit,
        registry,
        unready: () => unready,
        wellKnown: () => discovery.wellKnown(),
        logger: logger.child({ room: 'http' }),
        nowMs,
      },
    ),
  )
  await run(
    createFront(options.listen, {
      data: (socket, release) => tunnels.data(socket, release),
      web: createWebDoor(web.server, { connections: createSources(HTTP_CONNECTIONS) }),
      sources,
      logger: logger.child({ room: 'tunnels' }),
    }),
  )
  // the last to start is the first to stop: who is connected is told to go elsewhere before the port closes
  await run(startable({ start: () => undefined, stop: () => tunnels.drain() }))
  logger.info('relay is up', { url, udpPort: options.udpPort })
  return { rooms, url }
}

/** The relay's keys and its public URL come out of its ticket, which is taken in once. */
async function takeTicket({ peer }: RelayOptions): Promise<string> {
  if (peer.ticket !== undefined && parseTicket(peer.ticket).kind !== 'relay') {
    throw new RopewalkError('bad-ticket', 'That is a ticket for a worker, not for a relay', {
      hint: 'ropewalk invite --relay --name N --public-host H',
    })
  }
  const state = await openState(peer.stateFolder)
  if (peer.ticket !== undefined) {
    await acceptTicket(state, peer.ticket, { name: peer.name ?? parseName('relay'), nowMs: Date.now() })
  }
  const url = (await state.membership.read())?.relayUrl
  if (url !== undefined) return url
  throw new RopewalkError('state-missing', `${peer.stateFolder} holds no relay yet`, {
    hint: 'ropewalk-relay --ticket-file FILE, with a ticket from: ropewalk invite --relay --name N --public-host H',
  })
}

async function readTls({ tls, peer, domain }: RelayOptions, host: string): Promise<Tls> {
  switch (tls.kind) {
    case 'files':
      return { kind: 'certificate', ...(await readTlsFiles(tls.certFile, tls.keyFile)) }
    case 'self-signed':
      return { kind: 'certificate', ...(await keepSelfSigned(peer.stateFolder, hostsOf(host, domain), Date.now())) }
    case 'insecure-loopback':
      return { kind: 'none' }
  }
}

/** What the certificate is for: the relay's host, and the domain that services of workers will be under. */
function hostsOf(host: string, domain: string | undefined): string[] {
  return [...new Set([host, ...(domain === undefined ? [] : [domain, `*.${domain}`])])]
}

/** Both families on one port; IPv4 alone where this machine has no IPv6. */
async function openForwarder(addresses: readonly string[], port: number): Promise<Forwarder> {
  const listen = addresses.map((address) => ({ address, port }))
  try {
    return await Forwarder.open({ listen })
  } catch (error) {
    const noFamily =
      error instanceof Error && /family not supported|cannot assign requested address/i.test(error.message)
    if (noFamily) return await Forwarder.open({ listen: listen.filter(({ address }) => !isIPv6(address)) })
    throw new RopewalkError('address-in-use', `UDP port ${port}: ${messageOf(error)}`, {
      hint: 'choose another with --udp-port',
      cause: error,
    })
  }
}

async function endpointsOf(host: string, port: number): Promise<{ address: string; port: number }[]> {
  if (isIP(host) > 0) return [{ address: host, port }]
  const found = await lookup(host, { all: true }).catch(() => [])
  return found.slice(0, 8).map(({ address }) => ({ address, port }))
}

function multiaddrOf(host: string, port: number): string {
  const kind = { 0: 'dns', 4: 'ip4', 6: 'ip6' }[isIP(host)] ?? 'dns'
  return `/${kind}/${host}/tcp/${port}`
}
