import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { breakOff } from '@ropewalk/peer/tunnels'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { DATA_MAGIC } from '@ropewalk/shared/tunnel'
import { createNoiseLimit } from './noise.ts'
import type { Sources } from './sources.ts'

/** Where the one public port is. */
export interface FrontOptions {
  readonly address: string
  readonly port: number
  /** A connection that has not shown what it is after this is dropped, in milliseconds. */
  readonly helloTimeoutMs?: number
}

/** Who takes the connections. */
export interface FrontDependencies {
  /** A data connection; its first bytes are still in the socket. */
  readonly data: (socket: Socket, release: () => void) => void
  /** Everything else: TLS, or plain HTTP where that is allowed. `release` frees its slot once it is past its handshake. */
  readonly web: (socket: Socket, release: () => void) => void
  readonly sources: Sources
  readonly logger: Logger
}

/** The one public port: it looks at the first bytes of a connection and hands it on. Nothing waits for a slow one. */
export interface Front extends Startable {
  /** The port it listens on, after `start`. */
  readonly port: number
}

const HELLO_TIMEOUT_MS = 5000
const MAGIC = Buffer.from(DATA_MAGIC, 'latin1')

/** The front; it listens when started. @throws RopewalkError `address-in-use`, `permission-denied` from `start` */
export function createFront(options: FrontOptions, dependencies: FrontDependencies): Front {
  const { sources, logger } = dependencies
  const helloTimeoutMs = options.helloTimeoutMs ?? HELLO_TIMEOUT_MS
  const waiting = new Set<Socket>()
  const noise = createNoiseLimit()
  let server: Server | undefined
  let port = options.port

  const accept = (socket: Socket): void => {
    socket.on('error', () => undefined)
    const release = sources.take(socket.remoteAddress)
    if (release === undefined) {
      const skipped = noise.pass()
      const reason = 'too many that have proven nothing'
      if (skipped !== undefined) logger.warn('connection refused', { source: socket.remoteAddress, reason, skipped })
      socket.destroy()
      return
    }
    socket.once('close', release)
    waiting.add(socket)
    const late = setTimeout(() => {
      logger.debug('connection dropped', { source: socket.remoteAddress, reason: 'said nothing' })
      socket.destroy()
    }, helloTimeoutMs)
    const settle = (): void => {
      clearTimeout(late)
      waiting.delete(socket)
      socket.off('readable', peek)
      socket.off('end', gone)
      socket.off('close', gone)
    }
    const gone = (): void => {
      settle()
      breakOff(socket)
    }
    let seen: Buffer = Buffer.alloc(0)
    const peek = (): void => {
      const chunk: Buffer | null = socket.read()
      if (chunk === null) return
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
      // neither TLS nor HTTP begins with our four letters; fewer of them wait for more
      const isData = MAGIC.subarray(0, seen.length).equals(seen.subarray(0, MAGIC.length))
      if (isData && seen.length < MAGIC.length) return
      settle()
      socket.unshift(seen)
      if (isData) dependencies.data(socket, release)
      else {
        socket.allowHalfOpen = false
        dependencies.web(socket, release)
      }
    }
    socket.on('readable', peek)
    socket.once('end', gone)
    socket.once('close', gone)
  }

  const life = startable({
    async start() {
      const listening = createServer(
        { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 },
        accept,
      )
      server = listening
      listening.listen({ host: options.address, port: options.port, backlog: 4096 })
      await once(listening, 'listening').catch((cause: unknown) => {
        const error = toRopewalkError(cause)
        throw new RopewalkError(error.code, `Port ${options.port}: ${error.message}`, { cause })
      })
      listening.on('error', (error) => logger.error('the public port failed', { error }))
      const address = listening.address()
      if (typeof address === 'object' && address !== null) port = address.port
    },
    stop() {
      server?.close()
      for (const socket of waiting) socket.destroy()
    },
  })
  return {
    get port() {
      return port
    },
    start: (given) => life.start(given),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}
