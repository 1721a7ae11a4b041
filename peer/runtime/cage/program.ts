import { type SpawnOptions, spawn } from 'node:child_process'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { CageAnswer } from './face.ts'

const MAX_OUTPUT_CHARACTERS = 1_048_576

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs: number
}

/**
 * Runs a program to its end, in a process group of its own that is killed when it takes too long. Of each output the first
 * MiB is kept. @throws RopewalkError `timeout`, `aborted`, `missing-tool`
 */
export function runProgram(words: readonly string[], options: ProgramOptions): Promise<CageAnswer> {
  const [command = '', ...args] = words
  const settings: SpawnOptions = { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: options.env ?? process.env }
  const late = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal === undefined ? late : AbortSignal.any([options.signal, late])
  return new Promise((done, failed) => {
    if (signal.aborted) return failed(interrupted(command, options, late))
    const child = spawn(command, args, settings)
    const kill = () => {
      killGroup(child.pid)
      // What left the group may still hold the outputs: not waited for.
      failed(interrupted(command, options, late))
      for (const stream of [child.stdout, child.stderr]) stream?.destroy()
    }
    signal.addEventListener('abort', kill, { once: true })
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        if (said[name].length < MAX_OUTPUT_CHARACTERS) said[name] = (said[name] + text).slice(0, MAX_OUTPUT_CHARACTERS)
      })
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', kill)
      failed(error.code === 'ENOENT' ? new RopewalkError('missing-tool', `${command} is not installed`) : error)
    })
    child.once('close', (code) => {
      signal.removeEventListener('abort', kill)
      done({ code: code ?? 137, ...said })
    })
    // Who ends before it has read everything says why by its status.
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input ?? '')
  })
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function interrupted(command: string, { timeoutMs }: ProgramOptions, late: AbortSignal): RopewalkError {
  if (!late.aborted) return new RopewalkError('aborted', `${command} was broken off`)
  return new RopewalkError('timeout', `${command} did not end within ${timeoutMs} ms`)
}
