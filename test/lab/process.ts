import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { cpuSeconds } from './cpu.ts'
import { LabError } from './error.ts'
import { until } from './until.ts'

export interface SpawnOptions {
  /** In a host: as the ordinary user that it knows, with that one's HOME. */
  readonly as?: 'somebody'
  /** Added to this process's environment. */
  readonly env?: NodeJS.ProcessEnv
  /** The checkout's top folder unless said. */
  readonly cwd?: string
  /** No stdin, stdout and stderr kept for {@link LabProcess.says} unless said. */
  readonly stdio?: StdioOptions
}

/** A process in a node. It ends with the node at the latest. */
export interface LabProcess {
  readonly child: ChildProcess
  /** The process's own id, as seen from outside of the node. */
  pid(): Promise<number>
  /** All that it has said so far on stdout and stderr, the last million characters. */
  output(): string
  /** Waits until `pattern` is in what it said on stdout or stderr (30 s unless said). Throws when it ends before. */
  says(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  kill(signal: NodeJS.Signals): Promise<void>
  /** SIGTERM, and SIGKILL if it is still there after `patienceMs` (5 s unless said). */
  stop(patienceMs?: number): Promise<Ending>
  readonly ended: Promise<Ending>
  /** User and system time of all its threads so far. */
  cpuSeconds(): Promise<number>
}

/** How a process ended: with a status, or by a signal. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const KEPT_CHARACTERS = 1_000_000
const SAYS_TIMEOUT_MS = 30_000
const STOP_PATIENCE_MS = 5_000
const START_TIMEOUT_MS = 5_000

/** Starts `words`, the first of which enter a node. */
export function start(words: readonly string[], options: SpawnOptions): LabProcess {
  const [command = '', ...args] = words
  const child = spawn(command, args, {
    stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    detached: true,
  })
  return new EnteredProcess(child, words.slice(words.indexOf('--') + 1).join(' '))
}

class EnteredProcess implements LabProcess {
  readonly child: ChildProcess
  readonly ended: Promise<Ending>
  readonly #name: string
  #said = ''
  #pid: number | undefined
  readonly #listeners = new Set<() => void>()

  constructor(child: ChildProcess, name: string) {
    this.child = child
    this.#name = name
    this.ended = new Promise((done) => {
      child.once('close', (code, signal) => done({ code, signal }))
      child.once('error', (error) => {
        this.#hear(`${error.message}\n`)
        done({ code: 127, signal: null })
      })
    })
    void this.ended.then(() => this.#tell())
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    }
  }

  output(): string {
    return this.#said
  }

  /** A process enters a process namespace by a fork: what was started stays outside and waits for it. */
  async pid(): Promise<number> {
    if (this.#pid !== undefined) return this.#pid
    const outer = this.child.pid
    if (outer === undefined) throw new LabError(`${this.#name} was not started`)
    this.#pid = await until(START_TIMEOUT_MS, `${this.#name} to start`, async () => {
      if (this.#hasEnded()) throw new LabError(`${this.#name} has ended: ${this.#said}`)
      const children = await readFile(`/proc/${outer}/task/${outer}/children`, 'utf8').catch(() => '')
      return Number(children.split(' ')[0]) || null
    })
    return this.#pid
  }

  async cpuSeconds(): Promise<number> {
    return cpuSeconds(await this.pid())
  }

  says(pattern: RegExp, timeoutMs = SAYS_TIMEOUT_MS): Promise<RegExpExecArray> {
    return new Promise((done, failed) => {
      const settle = (result: RegExpExecArray | LabError) => {
        clearTimeout(timer)
        this.#listeners.delete(look)
        if (result instanceof LabError) failed(result)
        else done(result)
      }
      const look = () => {
        const match = pattern.exec(this.#said)
        if (match !== null) settle(match)
        else if (this.#hasEnded()) settle(new LabError(`${this.#name} ended without saying ${pattern}: ${this.#said}`))
      }
      const timer = setTimeout(() => {
        settle(new LabError(`${this.#name} did not say ${pattern} within ${timeoutMs} ms: ${this.#said}`))
      }, timeoutMs)
      this.#listeners.add(look)
      look()
    })
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#hasEnded()) return
    const pid = await this.pid()
    try {
      process.kill(pid, signal)
      // When its child stops, nsenter stops as well, and does not go on by itself.
      if (signal === 'SIGCONT') this.child.kill('SIGCONT')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  async stop(patienceMs = STOP_PATIENCE_MS): Promise<Ending> {
    if (this.#hasEnded()) return this.ended
    await this.kill('SIGTERM').catch(() => {})
    const timer = setTimeout(() => void this.kill('SIGKILL').catch(() => {}), patienceMs)
    const ending = await this.ended
    clearTimeout(timer)
    return ending
  }

  #hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null || this.child.pid === undefined
  }

  #hear(text: string): void {
    this.#said = (this.#said + text).slice(-KEPT_CHARACTERS)
    this.#tell()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
