import { randomUUID } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { DEFAULT_POLICY, type Policy, readPolicy } from '@ropewalk/shared/policy'
import { ORDER_SERVICE } from '@ropewalk/shared/runtime'
import { createLocalServer } from './api/index.ts'
import { createConnectivity } from './connectivity/index.ts'
import { createDiscovery, type Discovery } from './discovery/index.ts'
import { followMembers } from './follow-members.ts'
import { jobBytes } from './job-handlers.ts'
import { localHandlers, openLocalStream } from './local-handlers.ts'
import { type Membership, prepareMembership } from './membership.ts'
import { createMeshNetwork, createNames, openMeshDevice } from './network/index.ts'
import type { PeerOptions } from './options.ts'
import { createReports } from './reports.ts'
import type { Rooms, Warning } from './rooms.ts'
import { routeTo } from './routes.ts'
import { createRuntime } from './runtime/index.ts'
import { createRuntimeEvents } from './runtime-events.ts'
import { createDiscoveryMemory } from './state/index.ts'
import { createTopology } from './topology/index.ts'
import { tunnelMembers } from './tunnel-members.ts'
import { createServices, createTunnels, type Tunnels } from './tunnels/index.ts'
import { createWatchers } from './watchers/index.ts'

export interface PeerDependencies {
  readonly logger: Logger
  /** Called when somebody asks this peer to stop, by its socket. */
  readonly shutdown: () => void
}

/** One node of the network: everything that runs on a worker or a laptop, and inside every relay. */
export interface Peer extends Startable {
  /** @throws Error before `start` has returned */
  readonly rooms: Rooms
}

/** A peer that is not started yet. `start` joins the network first if it has to, which may take a while. */
export function createPeer(options: PeerOptions, dependencies: PeerDependencies): Peer {
  const running: Startable[] = []
  let rooms: Rooms | undefined
  const life = startable({
    async start(signal) {
      rooms = await assemble(options, dependencies, async (part) => {
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
  return {
    get rooms() {
      if (rooms === undefined) throw new Error('the peer has not started')
      return rooms
    },
    start: (start) => life.start(start),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}

type Run = <T extends Startable>(part: T) => Promise<T>

/** Builds the rooms from the ground up: each stands on those before it, and they stop in the reverse order. */
async function assemble(options: PeerOptions, dependencies: PeerDependencies, run: Run): Promise<Rooms> {
  const { logger } = dependencies
  const startedAtMs = Date.now()
  const membership = await prepareMembership(options, startedAtMs)
  const { state, network, identity } = membership
  await run(asStartable(membership))
  const discovery = await run(
    createDiscovery(
      {
        network,
        nodeKey: identity.nodeKey,
        wireguardKeys: identity.wireguardKeys,
        bundle: membership.bundle,
        waysIn: membership.waysIn,
        minRevocationSeq: membership.minRevocationSeq,
        listen: membership.listen,
        mdns: options.interfaces === undefined,
        ...(options.relay === undefined ? {} : { relay: options.relay.front, announce: options.relay.announce }),
      },
      { memory: await createDiscoveryMemory(state, network), logger: logger.child({ room: 'discovery' }) },
    ),
  )
  const { addresses } = discovery.self
  const device = await openMeshDevice(
    {
      wireguardKeys: identity.wireguardKeys,
      network,
      addresses,
      listenPort: membership.listenPort,
      rootless: options.rootless,
      tunName: options.tunName,
      loopbackOnly: options.interfaces?.every((name) => name === 'lo') === true,
    },
    logger.child({ room: 'network' }),
  )
  await run(startable({ start: () => undefined, stop: () => device.close() }))
  const connectivity = await run(
    createConnectivity(
      { interfaces: options.interfaces, meshInterfaces: device.backend === 'tun' ? [options.tunName] : [] },
      {
        device,
        discovery,
        networkInterfaces,
        logger: logger.child({ room: 'connectivity' }),
        nowMs: () => performance.now(),
        random: Math.random,
      },
    ),
  )
  const mesh = createMeshNetwork(device, addresses, options.tunName)
  const services = createServices(membership.exposed)
  const runtime = await run(
    await createRuntime(
      {
        ...(options.runtime ?? defaultRuntime(options)),
        meshInterface: device.backend === 'tun' ? options.tunName : undefined,
      },
      {
        key: identity.nodeKey,
        discovery,
        state,
        logger: logger.child({ room: 'runtime' }),
        open: async (nodeId, service, signal) =>
          (await tunnels.open({ nodeId, service, via: 'auto', signal })).stream.duplex(),
      },
    ),
  )
  const policy = (): Policy => policyOf(discovery)
  const tunnels: Tunnels = await run(
    createTunnels(
      { agent: true },
      {
        key: identity.nodeKey,
        members: tunnelMembers(discovery),
        services,
        policy,
        inner: new Map([[ORDER_SERVICE, (stream, from) => runtime.takeOrder(stream, from)]]),
        grants: {
          address: addresses.v4,
          list: () => runtime.desk.list(),
          onChange: (listener) => runtime.desk.onChange(listener),
        },
        self: () => discovery.self,
        logger: logger.child({ room: 'tunnels' }),
        mesh,
        routeTo: (nodeId) => routeTo(discovery, connectivity, nodeId),
      },
    ),
  )
  await run(runtime.clusters)
  const topology = await run(
    createTopology(
      { liveness: options.relay === undefined ? 'discovery' : 'reports', epoch: randomUUID() },
      { discovery, links: connectivity, nowMs: () => Date.now(), logger: logger.child({ room: 'topology' }) },
    ),
  )
  const warnings = new Map<string, Warning>()
  const unsubscribe = discovery.onChange((event) => {
    if (event.kind !== 'warning') return
    warnings.set(event.code, { code: event.code, message: event.message, hint: event.hint ?? 'ropewalk doctor' })
  })
  await run(startable({ start: () => undefined, stop: unsubscribe }))
  const rooms: Rooms = {
    options,
    logger,
    state,
    discovery,
    device,
    mesh,
    connectivity,
    services,
    tunnels,
    runtime,
    policy,
    topology,
    warnings,
    startedAtMs,
  }
  await run(followMembers(rooms))
  await run(createReports({ discovery, connectivity }))
  if (device.backend === 'tun') {
    const directory = {
      byName: (name: string) => discovery.member(name),
      byAddress: (address: string) => discovery.member(address),
    }
    await run(
      createNames(
        { network: network.name, addresses, mode: options.names },
        { directory, logger: logger.child({ room: 'network' }) },
      ),
    )
  }
  const epoch = randomUUID()
  const runtimeEvents = await run(createRuntimeEvents({ discovery, runtime, epoch, nowMs: Date.now }))
  const watchers = createWatchers({}, runtimeEvents)
  await run(
    createLocalServer(
      { doors: options.doors },
      {
        handlers: localHandlers(rooms, dependencies.shutdown),
        jobBytes: jobBytes(runtime.jobs),
        watchers,
        openStream: (query, signal) => openLocalStream(rooms, query, signal),
        logger: logger.child({ room: 'api' }),
      },
    ),
  )
  await run(watchers) // they are told of a stop before the server closes
  logger.info('peer is up', { name: discovery.self.name, addresses, mode: device.backend })
  return rooms
}

/** A worker that says nothing else takes leases of a day. */
function defaultRuntime({ stateFolder }: PeerOptions) {
  return { folder: join(stateFolder, 'runtime'), maxLeaseMs: 24 * 3_600_000 }
}

/** The folder belongs to this process until it has stopped. */
function asStartable(membership: Membership): Startable {
  return startable({ start: () => undefined, stop: () => membership.lock[Symbol.dispose]() })
}

/** Signed by the root, but by a version whose rules this one cannot read: then nothing passes, rather than too much. */
const NOTHING_ALLOWED: Policy = { rules: [] }

function policyOf(discovery: Discovery): Policy {
  const statement = discovery.policy()
  if (statement === undefined) return DEFAULT_POLICY
  return readPolicy(statement.rules) ?? NOTHING_ALLOWED
}
