import { ERRORS, isErrorCode } from './codes.ts'
import { RopewalkError, toRopewalkError } from './error.ts'

/** The media type of RFC 9457. */
export const PROBLEM_TYPE = 'application/problem+json'

/** An error as the HTTP APIs answer it (RFC 9457, with our code and hint). */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly hint?: string
}

/** The problem+json body of any throwable. What is not expected says nothing about our inside. */
export function toProblem(error: unknown): Problem {
  const known = toRopewalkError(error)
  const { says, status } = ERRORS[known.code]
  return {
    type: `urn:ropewalk:error:${known.code}`,
    title: says,
    status,
    code: known.code,
    detail: known.code === 'internal' ? says : known.message,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
  }
}

/** The error inside a problem+json answer; an answer of another form becomes `fallback` by its status. */
export function fromProblem(body: unknown, status: number): RopewalkError {
  if (typeof body === 'object' && body !== null && 'code' in body && isErrorCode(body.code)) {
    const detail = 'detail' in body && typeof body.detail === 'string' ? body.detail : undefined
    const hint = 'hint' in body && typeof body.hint === 'string' ? body.hint : undefined
    return new RopewalkError(body.code, detail, { hint })
  }
  if (status === 401) return new RopewalkError('unauthenticated')
  if (status === 403) return new RopewalkError('forbidden')
  if (status === 404) return new RopewalkError('not-found')
  return new RopewalkError(status < 500 ? 'bad-input' : 'internal', `The server answered HTTP ${status}`)
}
