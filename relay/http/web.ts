import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { createWatchers } from '@ropewalk/peer/watchers'
import { PROBLEM_TYPE, RopewalkError, toProblem } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { registerTopologyMetrics } from '../topology/index.ts'
import { answerClientError } from './client-error.ts'
import { addRelay, type RelayAppDependencies, type RelayAppOptions } from './relay-app.ts'
import { createWebServer, type Tls, watchTimeouts } from './server.ts'

/** A signed list of revocations may have 512 KiB, in base64url and JSON. */
const BODY_LIMIT_BYTES = 1_500_000
/** Requests under way have this long to end when the relay stops, in ms. */
const DRAIN_MS = 5_000

export interface WebOptions extends RelayAppOptions {
  readonly tls: Tls
}

export interface WebDependencies extends Omit<RelayAppDependencies, 'watchers'> {
  /** Takes a tunnel's upgrade; false leaves the socket to us. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean
}

/** The relay's HTTP side. It listens nowhere: the front gives it connections. */
export interface Web extends Startable {
  /** Connections are given to it by `emit('connection')`. @throws Error before `start` */
  readonly server: Server
  /** For `inject`. @throws Error before `start` */
  readonly app: FastifyInstance
}

/** Makes the HTTP side of a relay. */
export function createWeb(options: WebOptions, dependencies: WebDependencies): Web {
  let running: { readonly app: FastifyInstance; readonly server: Server } | undefined
  let stopping = false
  const undo: (() => Promise<void>)[] = []
  const life = startable({
    async start() {
      let server: Server | undefined
      const app = Fastify({
        bodyLimit: BODY_LIMIT_BYTES,
        routerOptions: { maxParamLength: 128 },
        serverFactory: (handler) => {
          server = createWebServer(options.tls, handler)
          return server
        },
        clientErrorHandler: answerClientError,
        frameworkErrors: (_error, _request, reply) => {
          const problem = toProblem(new RopewalkError('bad-input', 'The URL of the request cannot be read'))
          void (reply as FastifyReply).code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
        },
      })
      if (server === undefined) throw new Error('Fastify has not asked for its server')
      const web = server
      const watchers = createWatchers({}, dependencies.topology)
      const idle = countRequests(app)
      undo.push(async () => {
        await watchers.stop()
        await Promise.race([idle(), delay(DRAIN_MS)])
        await app.close()
        web.closeAllConnections()
        await new Promise<void>((resolve) => web.close(() => resolve())) // it never listened: only its timers end
      })
      const unready = () => (stopping ? 'The relay is about to stop' : dependencies.unready())
      await addRelay(app, options, { ...dependencies, watchers, unready })
      registerTopologyMetrics(dependencies.registry, { topology: dependencies.topology, watchers })
      web.on('upgrade', (request, socket, head) => {
        if (!dependencies.upgrade(request, socket, head)) refuseUpgrade(socket)
      })
      await app.ready()
      await watchers.start()
      watchTimeouts(web)
      running = { app, server: web }
    },
    async stop() {
      stopping = true
      for (const step of undo.splice(0)) await step()
      running = undefined
    },
  })
  const get = () => {
    if (running === undefined) throw new Error('the HTTP side does not run')
    return running
  }
  return {
    get app() {
      return get().app
    },
    get server() {
      return get().server
    },
    start: (start) => life.start(start),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}

/** Counts requests under way; the function it gives resolves when there are none. */
function countRequests(app: FastifyInstance): () => Promise<void> {
  let count = 0
  let waiting: (() => void) | undefined
  app.addHook('onRequest', async (_request, reply) => {
    count += 1
    // not `onResponse`, which never comes for a request that was broken off
    reply.raw.once('close', () => {
      count -= 1
      if (count === 0) waiting?.()
    })
  })
  return () =>
    new Promise((resolve) => {
      waiting = resolve
      if (count === 0) resolve()
    })
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

function refuseUpgrade(socket: Duplex): void {
  socket.on('error', () => undefined)
  socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', () => socket.destroy())
}
