import type { IncomingHttpHeaders } from 'node:http'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'

/** The error for an answer that says no. Ray's answers are tracebacks of Python, whose last line says what it is. */
export function refusal(status: number, body: Uint8Array, headers: IncomingHttpHeaders = {}): RopewalkError {
  const said = lastLine(Buffer.from(body).toString('utf8'))
  if (status === 401 || status === 403)
    return new RopewalkError('unauthenticated', "The cluster does not accept this peer's token", {
      hint: 'ropewalk cluster list: it may be another cluster of the same name',
    })
  if (status === 404)
    return new RopewalkError('not-found', said || 'The cluster does not know it', { hint: 'ropewalk job list' })
  if (status === 413) return new RopewalkError('too-large', 'Ray does not take so much in one piece (100 MiB)')
  if (status === 400 || status === 422) return new RopewalkError('bad-input', `Ray refuses it: ${said}`)
  if (status >= 500 && status <= 599)
    return new RopewalkError('unreachable', `Ray could not do it (HTTP ${status}): ${said}`, {
      hint: 'ropewalk cluster show: see whether all of its workers are there',
    })
  const where = headers.location === undefined ? '' : ', a redirect, which is not followed'
  return new RopewalkError('protocol-error', `The cluster's head answered with HTTP ${status}${where}`)
}

/** Whatever went wrong on the way, as one of ours. */
export function typed(error: unknown, signal: AbortSignal): RopewalkError {
  if (error instanceof RopewalkError) return error
  if (signal.aborted) {
    const known = toRopewalkError(signal.reason)
    if (known.code !== 'timeout')
      return known.code === 'internal' ? new RopewalkError('aborted', undefined, { cause: error }) : known
    return new RopewalkError('timeout', "The cluster's head did not answer in time", {
      hint: 'ropewalk cluster show: see whether its head is there',
      cause: error,
    })
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code.startsWith('HPE_'))
    return new RopewalkError('protocol-error', "The answer of the cluster's head is no HTTP", { cause: error })
  if (
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'ERR_STREAM_DESTROYED' ||
    code === 'ECONNRESET' ||
    code === 'EPIPE'
  )
    return new RopewalkError('stream-reset', "The connection to the cluster's head broke off", { cause: error })
  return toRopewalkError(error)
}

/** Whether it may work when tried again: the way was lost, or what stands behind it was busy. */
export function mayPass({ code, exitCode }: RopewalkError): boolean {
  return (exitCode === 4 && code !== 'unknown-peer') || code === 'stream-reset'
}

function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.replaceAll(/\p{C}+/gu, ' ').trim())
  return (lines.findLast((line) => line !== '') ?? '').slice(0, 300)
}
