import type { Socket } from 'node:net'
import { PROBLEM_TYPE, RopewalkError, toProblem } from '@ropewalk/shared/errors'

const OVERFLOW = 'HPE_HEADER_OVERFLOW'
const TIMED_OUT = 'ERR_HTTP_REQUEST_TIMEOUT'

/** Answers bytes that are no HTTP, or come too slowly, and ends the connection. */
export function answerClientError(error: Error & { readonly code?: string }, socket: Socket): void {
  // a broken connection has nobody to answer, and half an answer must not be followed by another
  if (!socket.writable || error.code === 'ECONNRESET' || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const [known, status] =
    error.code === OVERFLOW
      ? [new RopewalkError('too-large', 'The head of the request is too large'), 431]
      : error.code === TIMED_OUT
        ? [new RopewalkError('timeout', 'The request took too long'), 408]
        : [new RopewalkError('bad-input', 'That is no HTTP request'), 400]
  const body = JSON.stringify({ ...toProblem(known), status })
  const head = [
    `HTTP/1.1 ${status} Refused`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
