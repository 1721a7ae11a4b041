import { ERRORS, type ErrorCode, type ExitCode, exitCodeOf, httpStatusOf, isErrorCode } from './codes.ts'

/** What an error may carry beside its sentence. */
export interface ErrorDetails {
  /** What to do next, in the imperative: printed as `try: …`. */
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/** An expected failure: one sentence, a stable code, a next step. Anything else that is thrown is a bug and keeps its stack. */
export class RopewalkError extends Error {
  override readonly name = 'RopewalkError'
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string = ERRORS[code].says, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.hint = details.hint
  }

  /** Exit code of the command line, 1–5. */
  get exitCode(): ExitCode {
    return exitCodeOf(this.code)
  }

  /** HTTP status of the answer. */
  get httpStatus(): number {
    return httpStatusOf(this.code)
  }
}

/** Whether an unknown throwable is a {@link RopewalkError}, of this code if one is given. */
export function isRopewalkError(error: unknown, code?: ErrorCode): error is RopewalkError {
  return error instanceof RopewalkError && (code === undefined || error.code === code)
}

/** The sentence of any throwable. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: 'address-in-use',
  EACCES: 'permission-denied',
  EPERM: 'permission-denied',
  ENOENT: 'not-found',
  ECONNREFUSED: 'unreachable',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
  ECONNRESET: 'stream-reset',
  EPIPE: 'stream-reset',
  ETIMEDOUT: 'timeout',
}

/** Any throwable as a {@link RopewalkError}: operating system and abort errors get their code, the rest becomes `internal`. */
export function toRopewalkError(error: unknown): RopewalkError {
  if (error instanceof RopewalkError) return error
  if (error instanceof Error) {
    if (error.name === 'TimeoutError') return new RopewalkError('timeout', undefined, { cause: error })
    if (error.name === 'AbortError') return new RopewalkError('aborted', undefined, { cause: error })
    const system = 'code' in error && typeof error.code === 'string' ? SYSTEM_CODES[error.code] : undefined
    return new RopewalkError(system ?? 'internal', error.message, { cause: error })
  }
  return new RopewalkError('internal', String(error), { cause: error })
}

/** An error as it crosses a wire of ours: code and sentence, no stack. Foreign codes become `fallback`. */
export function errorFromWire(code: unknown, message: string, fallback: ErrorCode = 'protocol-error'): RopewalkError {
  return new RopewalkError(isErrorCode(code) ? code : fallback, message.slice(0, 500))
}
