import { spawn } from 'node:child_process'
import { LabError } from './error.ts'

/** What a finished command said. */
export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface ToolOptions {
  /** In a host: as the ordinary user that it knows, with that one's HOME. */
  readonly as?: 'somebody'
  readonly input?: string
  /** 30 s unless said. */
  readonly timeoutMs?: number
  readonly env?: NodeJS.ProcessEnv
  /** A status other than 0 is an answer, not an error. */
  readonly mayFail?: boolean
}

const TOOL_TIMEOUT_MS = 30_000

/** Runs a command to its end. Throws {@link LabError} when it fails, cannot be started or takes too long. */
export function runTool(words: readonly string[], options: ToolOptions = {}): Promise<Finished> {
  const [command = '', ...args] = words
  const timeoutMs = options.timeoutMs ?? TOOL_TIMEOUT_MS
  return new Promise((done, failed) => {
    const child = spawn(command, args, { stdio: 'pipe', detached: true, env: options.env ?? process.env })
    let stdout = ''
    let stderr = ''
    let late = false
    const timer = setTimeout(() => {
      late = true
      // The whole group: behind nsenter stands the command itself.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, timeoutMs)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      failed(new LabError(`${command} could not be started: ${error.message}`))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const shown = words.filter((word) => !word.startsWith('--')).join(' ')
      if (late) failed(new LabError(`\`${shown}\` did not end within ${timeoutMs} ms: ${stdout}${stderr}`))
      else if (code === 0 || (options.mayFail && code !== null)) done({ code, stdout, stderr })
      else failed(new LabError(`\`${shown}\` ended with ${code ?? signal}: ${stderr.trim() || stdout.trim()}`))
    })
    // A command that ends before it has read everything says why by its status.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}
