import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import {
  API_PREFIX,
  type Client,
  createClient,
  type FetchLike,
  peerApi,
  STREAM_UPGRADE,
  type Via,
} from '@ropewalk/shared/api'
import { fromProblem, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type LogWanted, type PackageWanted, putPackage, readLog } from './job-bytes.ts'
import { notRunning } from './not-running.ts'

/** The kernel's limit for the path of a unix socket, without the closing zero. */
export const SOCKET_PATH_LIMIT_BYTES = 107
const ANSWER_LIMIT_BYTES = 64 << 20
const STREAM_TIMEOUT_MS = 30_000

/** The API of the peer that runs on this machine, over its unix socket. */
export interface LocalClient {
  readonly api: Client<typeof peerApi>
  /** Opens a stream to a member's service; its bytes are the service's. @throws RopewalkError with the reason */
  openStream(wanted: StreamWanted): Promise<Socket>
  /** A job's log as it comes. Throws RopewalkError; `stream-reset` for one that was cut. */
  readLog(wanted: LogWanted): AsyncIterable<Uint8Array>
  /** Brings a packed working directory to a cluster. @throws RopewalkError */
  putPackage(wanted: PackageWanted): Promise<void>
}

export interface StreamWanted {
  readonly peer: string
  readonly service: string
  readonly via: Via
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * Finds the socket of a running peer: the first of these that this user may open.
 * @throws RopewalkError `not-running`
 */
export async function findSocket(candidates: readonly string[]): Promise<string> {
  let forbidden: string | undefined
  for (const path of candidates) {
    try {
      await access(path, constants.R_OK | constants.W_OK)
      return path
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EACCES') forbidden = path
    }
  }
  if (forbidden !== undefined) {
    throw new RopewalkError('permission-denied', `A peer runs here, but ${forbidden} is not open to this user`, {
      hint: 'join the group ropewalk, or run the command as root',
    })
  }
  throw new RopewalkError('not-running', 'No peer is running here', { hint: 'ropewalk up' })
}

/** A client of the peer behind this socket. */
export function createLocalClient(socketPath: string, options: { readonly timeoutMs?: number } = {}): LocalClient {
  return {
    api: createClient(peerApi, { fetch: unixFetch(socketPath), ...options }),
    openStream: (wanted) => openStream(socketPath, wanted),
    readLog: (wanted) => readLog(socketPath, wanted),
    putPackage: (wanted) => putPackage(socketPath, wanted),
  }
}

function unixFetch(socketPath: string): FetchLike {
  return (url, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath, path: url, method, headers, signal, agent: false }, (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > ANSWER_LIMIT_BYTES)
            response.destroy(new RopewalkError('too-large', "The peer's answer is too large"))
          else chunks.push(chunk)
        })
        response.on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text: async () => Buffer.concat(chunks).toString('utf8') })
        })
      })
      sent.on('error', (error) => reject(notRunning(error)))
      sent.end(body)
    })
}

function openStream(socketPath: string, wanted: StreamWanted): Promise<Socket> {
  const { peer, service, via, timeoutMs = STREAM_TIMEOUT_MS, signal } = wanted
  const query = new URLSearchParams({ peer, service, via }).toString()
  const timeout = AbortSignal.timeout(timeoutMs)
  const stop = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
  return new Promise((resolve, reject) => {
    const sent = request({
      createConnection: () => connect({ path: socketPath, allowHalfOpen: true }),
      path: `${API_PREFIX}/streams?${query}`,
      method: 'POST',
      headers: { connection: 'Upgrade', upgrade: STREAM_UPGRADE },
    })
    const giveUp = () => sent.destroy(toRopewalkError(stop.reason))
    stop.addEventListener('abort', giveUp, { once: true })
    const settled = () => stop.removeEventListener('abort', giveUp)
    sent.on('error', (error) => {
      settled()
      reject(notRunning(error))
    })
    sent.on('upgrade', (_response, socket, head) => {
      settled()
      if (head.length > 0) socket.unshift(head)
      resolve(socket as Socket)
    })
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        if (text.length < 65_536) text += chunk
      })
      response.on('end', () => {
        settled()
        reject(fromProblem(parse(text), response.statusCode ?? 0))
      })
    })
    sent.end()
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
