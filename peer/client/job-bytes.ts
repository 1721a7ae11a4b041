import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { API_PREFIX } from '@ropewalk/shared/api'
import { fromProblem, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { notRunning } from './not-running.ts'

const PROBLEM_LIMIT_BYTES = 65_536

/** Which log, and what of it. */
export interface LogWanted {
  readonly job: string
  readonly cluster?: string | undefined
  /** Bytes to leave out at its beginning. */
  readonly offset: number
  /** Until the job ends; else at most `limit` bytes. */
  readonly follow: boolean
  readonly limit?: number
  readonly signal: AbortSignal
}

/** A package to bring to a cluster. */
export interface PackageWanted {
  readonly name: string
  readonly cluster?: string | undefined
  readonly bytes: number
  readonly content: Readable
  readonly signal: AbortSignal
}

/** A log as it comes. @throws RopewalkError; `stream-reset` for one that was cut */
export async function* readLog(socketPath: string, wanted: LogWanted): AsyncIterable<Uint8Array> {
  const { job, cluster, offset, follow, limit, signal } = wanted
  const path = pathOf(`/jobs/${encodeURIComponent(job)}/logs`, { cluster, offset, follow, limit })
  try {
    const answer = await exchange({ socketPath, method: 'GET', path, signal })
    for await (const chunk of answer as AsyncIterable<Buffer>) yield chunk
  } catch (error) {
    throw cutOff(error, signal)
  }
}

/** @throws RopewalkError */
export async function putPackage(socketPath: string, wanted: PackageWanted): Promise<void> {
  const { name, cluster, bytes, content, signal } = wanted
  const path = pathOf(`/packages/${name}`, { cluster })
  const headers = { 'content-type': 'application/zip', 'content-length': bytes }
  try {
    const answer = await exchange({ socketPath, method: 'PUT', path, headers, content, signal })
    answer.resume()
  } catch (error) {
    throw cutOff(error, signal)
  }
}

interface Exchange {
  readonly socketPath: string
  readonly method: 'GET' | 'PUT'
  readonly path: string
  readonly headers?: OutgoingHttpHeaders
  readonly content?: Readable
  readonly signal: AbortSignal
}

/** The head of an answer that says yes. */
async function exchange({ content = Readable.from([]), ...options }: Exchange): Promise<IncomingMessage> {
  const sent = request({ ...options, agent: false })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve).on('error', (error) => reject(notRunning(error)))
    sent.on('close', () => reject(new RopewalkError('stream-reset', 'The peer closed without an answer')))
  })
  answered.catch(() => {})
  // who refuses early answers before it has read everything: then the answer counts
  const passed = pipeline(content, sent).catch((error: unknown) => {
    sent.destroy(error instanceof Error ? error : undefined)
  })
  const answer = await answered
  const status = answer.statusCode ?? 0
  if (status >= 200 && status <= 299) {
    await passed
    return answer
  }
  content.destroy()
  throw fromProblem(await problemOf(answer), status)
}

async function problemOf(answer: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.length > PROBLEM_LIMIT_BYTES) return undefined
  }
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function cutOff(error: unknown, signal: AbortSignal): RopewalkError {
  if (signal.aborted) return toRopewalkError(signal.reason)
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code !== 'ECONNRESET' && code !== 'EPIPE') return toRopewalkError(error)
  return new RopewalkError('stream-reset', 'The peer broke off', { cause: error })
}

function pathOf(path: string, query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined)
  const text = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, String(value)])).toString()
  return `${API_PREFIX}${path}${text === '' ? '' : `?${text}`}`
}
