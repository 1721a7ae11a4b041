import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { API_PREFIX, STREAM_UPGRADE, type StreamQuery, streamQuerySchema } from '@ropewalk/shared/api'
import { PROBLEM_TYPE, RopewalkError, toProblem } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'

/** A stream to a worker's service. */
export interface OpenedStream {
  /** Leads it to a socket; `first` was read of that already. */
  join(socket: Socket, first: Uint8Array): void
  /** Breaks it off. */
  destroy(): void
}

export interface StreamGateOptions {
  readonly openStream: (query: StreamQuery, signal: AbortSignal) => Promise<OpenedStream>
  /** Whether this door may open streams at all. */
  readonly allowed: boolean
  /** Every socket that left HTTP, so that a stop can end them. */
  readonly upgraded: Set<Socket>
  readonly logger: Logger
}

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/**
 * `POST /api/v1/streams?peer=…&service=…&via=…` with `Upgrade: ropewalk-stream/1`: after the 101 the connection is the
 * stream's bytes. Refusals are problem+json and the connection ends.
 */
export function streamGate(options: StreamGateOptions): UpgradeListener {
  return (request, duplex, head) => {
    const socket = duplex as Socket
    socket.on('error', () => socket.destroy())
    const gone = new AbortController()
    socket.once('close', () => gone.abort())
    serve(options, request, socket, head, gone.signal).catch((error: unknown) => {
      options.logger.debug('stream refused', { error })
      refuse(socket, error)
    })
  }
}

async function serve(
  { openStream, allowed, upgraded }: StreamGateOptions,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://peer')
  if (url.pathname !== `${API_PREFIX}/streams` || request.method !== 'POST') throw new RopewalkError('not-found')
  if (request.headers.upgrade !== STREAM_UPGRADE) {
    throw new RopewalkError('version-mismatch', `Streams are upgraded to ${STREAM_UPGRADE} here`)
  }
  if (!allowed) throw new RopewalkError('forbidden', 'This socket may not open streams')
  const query = streamQuerySchema.safeParse(Object.fromEntries(url.searchParams))
  if (!query.success) throw new RopewalkError('bad-input', 'A stream wants peer, service and perhaps via')
  const stream = await openStream(query.data, signal)
  if (socket.destroyed) {
    stream.destroy()
    return
  }
  upgraded.add(socket)
  socket.once('close', () => upgraded.delete(socket))
  socket.setTimeout(0)
  const answer = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${STREAM_UPGRADE}\r\n\r\n`
  socket.write(answer, () => stream.join(socket, head))
}

function refuse(socket: Socket, error: unknown): void {
  if (socket.destroyed) return
  const problem = toProblem(error)
  const body = JSON.stringify(problem)
  const lines = [
    `HTTP/1.1 ${problem.status} Refused`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
