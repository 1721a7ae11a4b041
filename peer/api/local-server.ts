import { chmod, chown, readFile, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { peerApi, runtimeDeltaSchema, runtimeSnapshotSchema, type Scope, type StreamQuery } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import Fastify, { type FastifyInstance } from 'fastify'
import { SOCKET_PATH_LIMIT_BYTES } from '../client/index.ts'
import { makeFolder } from '../make-folder.ts'
import type { Watchers } from '../watchers/index.ts'
import { addEvents } from './events.ts'
import { addJobBytes, type JobBytes } from './job-bytes.ts'
import { addManners, type Handlers, mount } from './mount.ts'
import { addOpenApi, type Described } from './openapi.ts'
import { type OpenedStream, streamGate } from './stream-gate.ts'

/** For a whole request: a package of 100 MiB goes no faster than the link to the cluster, in ms. */
const REQUEST_TIMEOUT_MS = 3_600_000
const HEADERS_TIMEOUT_MS = 30_000

const DESCRIBED: Described = {
  title: 'ropewalk peer',
  version: '1',
  description:
    'This peer, the network as it knows it, and the clusters that it hired, over a unix socket of this machine.',
  callers: 'socket',
  schemas: { RuntimeSnapshot: runtimeSnapshotSchema, RuntimeDelta: runtimeDeltaSchema },
}

const RUNTIME_EVENTS = {
  path: '/events',
  operationId: 'runtimeEvents',
  summary: 'Clusters that this node hired, their jobs, and leases that it holds for others, as they change',
  description: [
    'Server-sent events. The first is `snapshot` (RuntimeSnapshot), then come `delta`s (RuntimeDelta).',
    'A reader that comes back with `Last-Event-ID` is given what it missed, or a new snapshot. `end` (Problem) is',
    'the last event when the peer ends the stream.',
  ].join(' '),
} as const

/** A door of the peer: who can open the socket file has its scopes. */
export interface LocalDoor {
  readonly path: string
  readonly mode: number
  /** The socket's group by name; it stays as it is when there is no such group. */
  readonly group?: string
  readonly scopes: readonly Scope[]
}

export interface LocalServerOptions {
  readonly doors: readonly LocalDoor[]
}

export interface LocalServerDependencies {
  readonly handlers: Handlers<typeof peerApi>
  readonly jobBytes: JobBytes
  /** Those who watch clusters, leases and jobs. */
  readonly watchers: Watchers
  /** Opens a stream to a member's service. @throws RopewalkError with the reason */
  readonly openStream: (query: StreamQuery, signal: AbortSignal) => Promise<OpenedStream>
  readonly logger: Logger
}

/** The peer's HTTP API on unix sockets: the command line speaks to nothing else. */
export function createLocalServer(options: LocalServerOptions, dependencies: LocalServerDependencies): Startable {
  const apps: FastifyInstance[] = []
  return startable({
    async start() {
      for (const door of options.doors) apps.push(await open(door, dependencies))
    },
    async stop() {
      // closing removes the socket files that were opened, and only those: another peer's are not ours
      await Promise.all(apps.splice(0).map((app) => app.close()))
    },
  })
}

async function open(
  door: LocalDoor,
  { handlers, jobBytes, watchers, openStream, logger }: LocalServerDependencies,
): Promise<FastifyInstance> {
  if (Buffer.byteLength(door.path) > SOCKET_PATH_LIMIT_BYTES) {
    throw new RopewalkError('path-too-long', `The socket path ${door.path} is over ${SOCKET_PATH_LIMIT_BYTES} bytes`, {
      hint: 'use a shorter --state folder',
    })
  }
  const app = Fastify({ forceCloseConnections: true, bodyLimit: 2 << 20, requestTimeout: REQUEST_TIMEOUT_MS })
  addManners(app, logger)
  app.server.headersTimeout = HEADERS_TIMEOUT_MS
  const caller = { actor: `socket ${door.path}`, scopes: new Set(door.scopes) }
  await addOpenApi(app, DESCRIBED)
  const authorize = () => caller
  mount(app, { contract: peerApi, handlers, authorize })
  addJobBytes(app, { bytes: jobBytes, authorize, logger })
  addEvents(app, { ...RUNTIME_EVENTS, watchers, authorize })
  const upgraded = new Set<Socket>()
  app.server.on('upgrade', streamGate({ openStream, allowed: caller.scopes.has('stream'), upgraded, logger }))
  app.addHook('preClose', async () => {
    for (const socket of upgraded) socket.destroy()
  })
  await app.ready()
  await makeFolder(dirname(door.path), 0o755)
  await removeStale(door.path)
  await listen(app.server, door.path)
  await protect(door)
  return app
}

/** A socket file that nobody listens on any more is left over from a crash; a living one is not touched. */
async function removeStale(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => resolve(true))
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy())
  })
  if (alive) throw new RopewalkError('address-in-use', `Another peer listens on ${path}`, { hint: 'ropewalk down' })
  await rm(path, { force: true })
}

async function listen(server: Server, path: string): Promise<void> {
  const old = process.umask(0o177) // no moment in which others could connect
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => resolve())
    })
  } finally {
    process.umask(old)
  }
}

async function protect({ path, mode, group }: LocalDoor): Promise<void> {
  if (group !== undefined) {
    const groups = await readFile('/etc/group', 'utf8').catch(() => '')
    const id = new RegExp(`^${group}:[^:]*:(\\d+):`, 'm').exec(groups)?.[1]
    if (id !== undefined) await chown(path, process.getuid?.() ?? 0, Number(id))
  }
  await chmod(path, mode)
}
