import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { JobsDependencies, JobsOptions, PackageBytes } from './face.ts'
import { refusal, typed } from './head-errors.ts'

const CALL_TIMEOUT_MS = 30_000
const STALL_MS = 60_000
const ANSWER_LIMIT_BYTES = 1 << 20
const HEADER_LIMIT_BYTES = 16_384

/** One request to the head. */
export interface HeadCall {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly signal: AbortSignal
  readonly json?: object
  readonly sent?: PackageBytes
  /** Most bytes of the answer; 1 MiB unless said. */
  readonly limitBytes?: number
  /** Answers with this status are an answer, not an error. */
  readonly alsoFine?: number
}

/** HTTP/1.1 to the head's dashboard, one connection for each request. */
export interface HeadHttp {
  /** A whole answer. @throws RopewalkError */
  call(call: HeadCall): Promise<{ readonly status: number; readonly body: Buffer }>
  /** An answer as it comes, without an end in time. Ends with an error when it was cut. @throws RopewalkError */
  stream(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>
}

export function createHeadHttp(options: JobsOptions, { dial }: Pick<JobsDependencies, 'dial'>): HeadHttp {
  const { timeoutMs = CALL_TIMEOUT_MS, stallMs = STALL_MS } = options
  const open = async (call: HeadCall, signal: AbortSignal, alive: () => void): Promise<IncomingMessage> => {
    signal.throwIfAborted()
    const connection = await orAborted(dial(options.dashboardPort, signal), signal)
    const response = await exchange({ connection, call, signal, alive, token: options.token })
    const status = response.statusCode ?? 0
    if ((status >= 200 && status <= 299) || status === call.alsoFine) return response
    throw refusal(status, await read(response, ANSWER_LIMIT_BYTES), response.headers)
  }
  return {
    async call(call) {
      using patience = patient(call.sent === undefined ? timeoutMs : stallMs, call.signal)
      const alive = call.sent === undefined ? () => {} : patience.again
      try {
        const response = await open(call, patience.signal, alive)
        return { status: response.statusCode ?? 0, body: await read(response, call.limitBytes ?? ANSWER_LIMIT_BYTES) }
      } catch (error) {
        throw typed(error, patience.signal)
      }
    },
    async *stream(path, signal) {
      const stop = new AbortController()
      const either = AbortSignal.any([signal, stop.signal])
      try {
        let response: IncomingMessage
        {
          using patience = patient(timeoutMs, either)
          response = await open({ method: 'GET', path, signal }, patience.signal, () => {}).catch((error: unknown) => {
            throw typed(error, patience.signal)
          })
        }
        either.addEventListener('abort', () => response.destroy(), { once: true })
        if (either.aborted) response.destroy()
        for await (const chunk of response as AsyncIterable<Buffer>) yield chunk
      } catch (error) {
        throw typed(error, either)
      } finally {
        stop.abort()
      }
    },
  }
}

/** What is dialled within the time; what comes later is closed. */
async function orAborted(dialled: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const giveUp = (): void => {
    reject(signal.reason)
    dialled.then((late) => late.destroy()).catch(() => {})
  }
  signal.addEventListener('abort', giveUp, { once: true })
  if (signal.aborted) giveUp()
  try {
    return await Promise.race([dialled, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

interface Exchange {
  readonly connection: Duplex
  readonly call: HeadCall
  readonly signal: AbortSignal
  readonly token: string
  readonly alive: () => void
}

function exchange({ connection, call, signal, token, alive }: Exchange): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { authorization: `Bearer ${token}`, connection: 'close', host: 'ray' }
    const json = call.json === undefined ? undefined : Buffer.from(JSON.stringify(call.json))
    const bytes = json?.length ?? call.sent?.bytes
    if (bytes !== undefined) headers['content-length'] = String(bytes)
    if (bytes !== undefined)
      headers['content-type'] = json === undefined ? 'application/octet-stream' : 'application/json'
    const sent = request({
      createConnection: () => connection,
      method: call.method,
      path: call.path,
      headers,
      maxHeaderSize: HEADER_LIMIT_BYTES,
    })
    const giveUp = (): void => {
      sent.destroy()
      connection.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    sent.on('error', reject)
    sent.on('upgrade', (_response, socket: Duplex) => {
      socket.destroy()
      reject(new RopewalkError('protocol-error', "The cluster's head answered with another protocol"))
    })
    // an end without answer and without error happens when the other end closes at once
    sent.on('close', () => reject(new RopewalkError('stream-reset', "The cluster's head closed without an answer")))
    sent.on('response', (response) => {
      response.on('close', () => {
        signal.removeEventListener('abort', giveUp)
        connection.destroy()
      })
      resolve(response)
    })
    if (call.sent === undefined) sent.end(json)
    else void pass(sent, call.sent, alive)
  })
}

/** Passes a body on; what goes wrong is told by the request. */
async function pass(sent: ClientRequest, { content }: PackageBytes, alive: () => void): Promise<void> {
  const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
    for await (const chunk of chunks) {
      yield chunk
      alive()
    }
  }
  try {
    await pipeline(content, counted, sent)
  } catch (error) {
    sent.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

async function read(response: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limitBytes) throw new RopewalkError('too-large', "The answer of the cluster's head is too large")
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** A signal that gives up after a time, which can be begun anew. */
function patient(timeoutMs: number, signal: AbortSignal): Disposable & { signal: AbortSignal; again: () => void } {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(new DOMException('', 'TimeoutError')), timeoutMs)
  const follow = (): void => abort.abort(signal.reason)
  signal.addEventListener('abort', follow, { once: true })
  if (signal.aborted) follow()
  return {
    signal: abort.signal,
    again: () => void timer.refresh(),
    [Symbol.dispose]() {
      clearTimeout(timer)
      signal.removeEventListener('abort', follow)
    },
  }
}
