import { type DestinationStream, pino } from 'pino'
import { prettyStream } from './pretty.ts'

/** Fields of a log line: data, never part of the message. */
export type LogFields = Readonly<Record<string, unknown>>

/** How much is logged. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
/** All levels, for the command line's choices. */
export const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent']

/** The small face every room logs through: a constant message, data as fields. */
export interface Logger {
  trace(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger whose lines all carry these fields (`{ room: 'tunnels' }`). */
  child(fields: LogFields): Logger
}

/** Where and how to log. */
export interface LoggerOptions {
  readonly level?: LogLevel
  /** `pretty` for a terminal, `json` for everything else. */
  readonly format?: 'json' | 'pretty'
  /** Takes whole lines; the caller gives stderr or a file. */
  readonly destination: { write(line: string): unknown }
}

/** Field names whose values never reach a log, three levels deep. */
const SECRETS = [
  'secret',
  'privateKey',
  'seed',
  'ticket',
  'token',
  'authorization',
  'cookie',
  'presharedKey',
  'password',
  'mac',
]
const REDACTED = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/** Makes the logger of a process; rooms get it, or a child of it, as a dependency. */
export function createLogger(options: LoggerOptions): Logger {
  const raw: DestinationStream = { write: (line) => void options.destination.write(line) }
  const stream = options.format === 'pretty' ? prettyStream(raw) : raw
  const root = pino(
    {
      level: options.level ?? 'info',
      base: null,
      redact: { paths: REDACTED, censor: '[secret]' },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      errorKey: 'error',
      serializers: { error: pino.stdSerializers.err },
    },
    stream,
  )
  return face(root)
}

/** A logger that says nothing: the default where none is given, and for tests. */
export const silentLogger: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
}

type Pino = Pick<ReturnType<typeof pino>, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'child'>

function face(inner: Pino): Logger {
  return {
    trace: (message, fields = {}) => inner.trace(fields, message),
    debug: (message, fields = {}) => inner.debug(fields, message),
    info: (message, fields = {}) => inner.info(fields, message),
    warn: (message, fields = {}) => inner.warn(fields, message),
    error: (message, fields = {}) => inner.error(fields, message),
    child: (fields) => face(inner.child(fields)),
  }
}
