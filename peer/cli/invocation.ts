import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { RopewalkError } from '@ropewalk/shared/errors'
import { createLogger, LOG_LEVELS, type Logger, type LogLevel } from '@ropewalk/shared/logger'
import { createLocalClient, findSocket, type LocalClient } from '../client/index.ts'
import { parseDuration } from './duration.ts'
import type { Io } from './io.ts'
import { table } from './text.ts'

/** The options that every command takes, as they were typed. */
export interface GlobalOptions {
  readonly state?: string | undefined
  readonly output?: string | undefined
  readonly timeout?: string | undefined
  readonly logLevel?: string | undefined
}

/** Where every user's programs find the peer that root runs. */
export const ACCESS_SOCKET = '/run/ropewalk/access.sock'
export const CONTROL_SOCKET_NAME = 'control.sock'

/** One run of one command: its options resolved, its peer within reach, its output in the form asked for. */
export class Invocation {
  readonly io: Io
  readonly stateFolder: string
  /** Whether the folder was named; if not, it is the usual one. */
  readonly stateNamed: boolean
  readonly json: boolean
  readonly timeoutMs: number | undefined
  readonly logger: Logger

  /** @throws RopewalkError `bad-usage` */
  constructor(options: GlobalOptions, io: Io) {
    this.io = io
    const named = options.state ?? io.env.ROPEWALK_STATE
    this.stateNamed = named !== undefined
    this.stateFolder = resolve(named ?? defaultStateFolder(io))
    this.json = oneOf(options.output ?? 'table', ['table', 'json'], '--output') === 'json'
    this.timeoutMs = options.timeout === undefined ? undefined : parseDuration(options.timeout)
    const level: LogLevel = oneOf(options.logLevel ?? io.env.ROPEWALK_LOG_LEVEL ?? 'info', LOG_LEVELS, '--log-level')
    this.logger = createLogger({ level, format: io.stderr.isTTY === true ? 'pretty' : 'json', destination: io.stderr })
  }

  /** The sockets of a peer that this command may speak to, best first. */
  get sockets(): string[] {
    const own = join(this.stateFolder, CONTROL_SOCKET_NAME)
    return this.stateNamed ? [own] : [own, ACCESS_SOCKET]
  }

  /** The running peer. @throws RopewalkError `not-running` or `permission-denied` */
  async peer(): Promise<LocalClient> {
    const socket = await findSocket(this.sockets)
    return createLocalClient(socket, this.timeoutMs === undefined ? {} : { timeoutMs: this.timeoutMs })
  }

  /** The result: JSON as it is, or as text for people. */
  print(result: object, text: () => string): void {
    this.io.stdout.write(this.json ? `${JSON.stringify(result)}\n` : text())
  }

  /** A table for people. */
  table(head: readonly string[], rows: Parameters<typeof table>[1]): string {
    return table(head, rows, this.io.stdout.isTTY === true)
  }

  /** Talk: never on stdout. */
  say(sentence: string): void {
    this.io.stderr.write(`${sentence}\n`)
  }
}

function defaultStateFolder(io: Io): string {
  if (io.userId === 0) return '/var/lib/ropewalk'
  return join(io.env.XDG_STATE_HOME ?? join(io.env.HOME ?? homedir(), '.local', 'state'), 'ropewalk')
}

function oneOf<const T extends string>(value: string, choices: readonly T[], option: string): T {
  const found = choices.find((choice) => choice === value)
  if (found !== undefined) return found
  throw new RopewalkError('bad-usage', `${option} is one of ${choices.join(', ')}, not “${value}”`)
}
