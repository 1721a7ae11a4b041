import { randomUUID } from 'node:crypto'
import type { Ending, Finished, LabNode, LabProcess, SpawnOptions, ToolOptions } from '../lab/index.ts'
import { LabError } from '../lab/index.ts'

/** Where the guest listens for commands, on a wire of its own between it and its node. */
export const CONTROL = { host: '169.254.77.1', guest: '169.254.77.2', port: 7 } as const

/** Stands between what a job said and its exit status. */
const SEPARATOR = String.fromCharCode(30)

/** Runs a command in the guest to its end. What it says on stderr comes with the rest, on stdout. */
export async function execJob(node: LabNode, words: readonly string[], options: ToolOptions): Promise<Finished> {
  const { input = '', timeoutMs, mayFail = false } = options
  const { lines } = job(words, options.env)
  const { stdout } = await node.exec('busybox', client, {
    input: lines + input,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })
  const { code, said } = ending(stdout)
  if (code === null) throw new LabError(`\`${words.join(' ')}\` was cut off in the guest: ${stdout}`)
  if (code !== 0 && !mayFail)
    throw new LabError(`\`${words.join(' ')}\` ended with ${code} in the guest: ${said.trim()}`)
  return { code, stdout: said, stderr: '' }
}

/** Starts a command in the guest. Its stdin is open where `stdio` says that it is a pipe. */
export function spawnJob(node: LabNode, words: readonly string[], options: SpawnOptions): LabProcess {
  const { name, lines } = job(words, options.env)
  const outer = node.spawn('busybox', client, { stdio: ['pipe', 'pipe', 'pipe'] })
  outer.child.stdin?.on('error', () => {}) // how it ended is what counts
  outer.child.stdin?.write(lines)
  if (!Array.isArray(options.stdio) || options.stdio[0] !== 'pipe') outer.child.stdin?.end()
  return new Job(node, name, outer)
}

const client = ['nc', CONTROL.guest, CONTROL.port.toString()]

function job(words: readonly string[], env: NodeJS.ProcessEnv | undefined): { name: string; lines: string } {
  const name = randomUUID()
  const settings = Object.entries(env ?? {}).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
  const exported = settings.length === 0 ? '' : `export ${settings.map(quote).join(' ')}; `
  const [command = '', ...args] = words
  // By its whole path: busybox's shell would take its own `ip` and `ping`.
  const path = command.includes('/') ? command : `/bin/${command}`
  const line = `${exported}exec ${[path, ...args].map(quote).join(' ')}`
  return { name, lines: `${name}\n${Buffer.from(line).toString('base64')}\n` }
}

function ending(output: string): { readonly code: number | null; readonly said: string } {
  const at = output.lastIndexOf(SEPARATOR)
  return at < 0 ? { code: null, said: output } : { code: Number(output.slice(at + 1)), said: output.slice(0, at) }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

class Job implements LabProcess {
  readonly child: LabProcess['child']
  readonly ended: Promise<Ending>
  readonly #node: LabNode
  readonly #name: string
  readonly #outer: LabProcess

  constructor(node: LabNode, name: string, outer: LabProcess) {
    this.#node = node
    this.#name = name
    this.#outer = outer
    this.child = outer.child
    this.ended = outer.ended.then(() => ({ code: ending(outer.output()).code, signal: null }))
  }

  /** Of the one here that talks to it. */
  pid(): Promise<number> {
    return this.#outer.pid()
  }

  output(): string {
    return this.#outer.output()
  }

  says(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray> {
    return this.#outer.says(pattern, timeoutMs)
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const words = `kill -${signal.replace('SIG', '')} "$(cat "/run/jobs/$0")"`
    await execJob(this.#node, ['sh', '-c', words, this.#name], { mayFail: true })
  }

  async stop(patienceMs = STOP_PATIENCE_MS): Promise<Ending> {
    if (this.#hasEnded()) return this.ended
    await this.kill('SIGTERM')
    const timer = setTimeout(() => void this.kill('SIGKILL').catch(() => {}), patienceMs)
    const ending = await this.ended
    clearTimeout(timer)
    return ending
  }

  async cpuSeconds(): Promise<number> {
    throw new LabError('the processor time of a job in the guest is not measured')
  }

  #hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }
}

const STOP_PATIENCE_MS = 5_000
