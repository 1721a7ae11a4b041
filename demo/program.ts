import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The command `ropewalk`, for the project's own Node. */
export const ROPEWALK = fileURLToPath(new URL('../peer/bin/ropewalk.mjs', import.meta.url))
const ROPEWALK_RELAY = fileURLToPath(new URL('../relay/bin/ropewalk-relay.mjs', import.meta.url))
const STOP_TIMEOUT_MS = 8_000

/** What a finished command gave: its standard output, and its exit code with what it said. */
export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** One of the two commands of the product, run as a user would run it. */
export type Command = 'ropewalk' | 'ropewalk-relay'

function start(command: Command, args: readonly string[]): ChildProcess {
  const program = command === 'ropewalk' ? ROPEWALK : ROPEWALK_RELAY
  const env = { ...process.env }
  delete env.ROPEWALK_TICKET
  delete env.ROPEWALK_STATE
  return spawn(process.execPath, [program, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
}

/**
 * Runs a command to its end.
 *
 * @param input bytes for its standard input, which is then closed
 */
export async function run(
  command: Command,
  args: readonly string[],
  options: { readonly input?: string; readonly signal?: AbortSignal } = {},
): Promise<Finished> {
  const child = start(command, args)
  const kill = () => child.kill('SIGTERM')
  options.signal?.addEventListener('abort', kill, { once: true })
  let [stdout, stderr] = ['', '']
  child.stdout?.on('data', (bytes: Buffer) => {
    stdout += bytes.toString()
  })
  child.stderr?.on('data', (bytes: Buffer) => {
    stderr += bytes.toString()
  })
  child.stdin?.on('error', () => {}) // it may end before it has read everything
  child.stdin?.end(options.input ?? '')
  const [code] = (await once(child, 'close')) as [number | null]
  options.signal?.removeEventListener('abort', kill)
  return { code: code ?? 1, stdout, stderr }
}

/** As `run`, for a command that must succeed. @throws Error with what the command said */
export async function expectSuccess(command: Command, args: readonly string[], signal: AbortSignal): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, { signal })
  signal.throwIfAborted()
  if (code !== 0) throw new Error(`${command} ${args[0] ?? ''} ended with ${code}: ${stderr.trim()}`)
  return stdout
}

/** A long-running process of the product; what it says goes to a file beside its state. */
export class Service {
  readonly name: string
  readonly logFile: string
  readonly #child: ChildProcess

  constructor(name: string, command: Command, args: readonly string[], logFile: string) {
    this.name = name
    this.logFile = logFile
    this.#child = start(command, args)
    const log = createWriteStream(logFile)
    this.#child.stdout?.pipe(log, { end: false })
    this.#child.stderr?.pipe(log, { end: false })
    this.#child.stdin?.end()
  }

  /** Settles when the process ends before it was told to. */
  async died(): Promise<string> {
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    return `${this.name} ended by itself (${this.#child.exitCode ?? this.#child.signalCode}); its log is ${this.logFile}`
  }

  /** Ends it cleanly; by force if it does not listen. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const force = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(force)
  }
}
