import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { Splicer } from 'node-wireguard'
import { breakOff } from './break-off.ts'
import { join } from './join.ts'
import { joinSockets } from './join-sockets.ts'
import type { PortMapping } from './port-spec.ts'
import { WorkerStream } from './worker-stream.ts'

/** What a forward is made with. */
export interface ForwardOptions {
  readonly mappings: readonly PortMapping[]
}

/** What it needs: a way to open streams, by the peer's own or by its socket. */
export interface ForwardDependencies {
  readonly open: (service: string, signal: AbortSignal) => Promise<Duplex | WorkerStream>
  readonly logger: Logger
  /** Told about each connection that could not be opened: for the person who looks on. */
  readonly onRefused?: (service: string, error: RopewalkError) => void
}

/** Ports of 127.0.0.1 that lead to a worker's services, for as long as it runs. */
export interface Forward extends Startable {
  /** Where it listens, in the order of the mappings. */
  readonly local: readonly { readonly port: number; readonly service: string }[]
}

/** Listens when started. @throws RopewalkError `address-in-use` from `start` */
export function createForward(options: ForwardOptions, dependencies: ForwardDependencies): Forward {
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  const local: { port: number; service: string }[] = []
  const stopped = new AbortController()

  let splicer: Splicer | undefined

  const lead = (socket: Socket, stream: Duplex | WorkerStream): void => {
    if (stream instanceof WorkerStream) stream.join(socket)
    else if (stream instanceof Socket && [socket, stream].every((one) => one.readyState === 'open')) {
      splicer ??= new Splicer()
      joinSockets(splicer, socket, stream)
    } else join(socket, stream)
  }

  const accept = (socket: Socket, service: string): void => {
    const gone = new AbortController()
    sockets.add(socket)
    socket.on('error', () => gone.abort())
    socket.once('close', () => {
      sockets.delete(socket)
      gone.abort(new RopewalkError('aborted'))
    })
    dependencies.open(service, AbortSignal.any([gone.signal, stopped.signal])).then(
      (stream) => lead(socket, stream),
      (cause: unknown) => {
        const error = toRopewalkError(cause)
        dependencies.logger.warn('forward refused', { service, code: error.code, reason: error.message })
        dependencies.onRefused?.(service, error)
        breakOff(socket)
      },
    )
  }

  const life = startable({
    async start() {
      for (const { localPort, service } of options.mappings) {
        const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => accept(socket, service))
        servers.push(server)
        server.listen({ host: '127.0.0.1', port: localPort })
        await once(server, 'listening').catch((cause: unknown) => {
          const error = toRopewalkError(cause)
          throw new RopewalkError(error.code, `Port ${localPort} of this machine: ${error.message}`, {
            cause,
            hint: `choose another: ropewalk forward PEER LOCAL:${service}`,
          })
        })
        const address = server.address()
        local.push({ port: typeof address === 'object' ? (address?.port ?? localPort) : localPort, service })
      }
    },
    stop() {
      stopped.abort(new RopewalkError('aborted'))
      for (const server of servers) server.close()
      for (const socket of sockets) breakOff(socket)
      return splicer?.close()
    },
  })
  return {
    local,
    start: (given) => life.start(given),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}
