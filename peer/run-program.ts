import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { messageOf, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'

/** How another program is run. */
export interface RunOptions {
  /** The program is ended after this, in ms. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Most bytes of its standard output; one that says more is ended. 64 KiB unless said. */
  readonly maxBytes?: number
  /** Hears every line of both its outputs, cut to 4 KiB; then nothing is collected. */
  readonly onLine?: ((line: string) => void) | undefined
}

/** How it ended. */
export interface RunResult {
  /** 128 + n when signal n ended it. */
  readonly code: number
  readonly stdout: string
}

const MAX_LINE = 4_096
const MAX_BYTES = 64 * 1_024
const GRACE_MS = 3_000
const SIGNALLED = 128

/**
 * Runs a program to its end, without standard input and in a process group of its own, which is ended whole: a terminal's
 * Ctrl-C does not reach it, only ours does. What it makes may be read by all (umask 022).
 * @throws RopewalkError `missing-tool`, `timeout`, `aborted`, `too-large`
 */
export async function runProgram(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const { timeoutMs, signal: asked, env = process.env, maxBytes = MAX_BYTES, onLine } = options
  asked?.throwIfAborted()
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = asked === undefined ? timeout : AbortSignal.any([asked, timeout])
  const words = ['-c', 'umask 022; exec "$0" "$@"', command, ...args]
  const child = spawn('/bin/sh', words, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const end = ending(child)
  signal.addEventListener('abort', end.now, { once: true })
  const chunks: Buffer[] = []
  let size = 0
  if (onLine === undefined) {
    child.stderr.resume()
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) end.now()
      else chunks.push(chunk)
    })
  } else {
    for (const stream of [child.stdout, child.stderr]) readLines(stream, onLine)
  }
  try {
    const code = await ended(child)
    if (signal.aborted) throw stopped(signal, command, timeoutMs)
    if (size > maxBytes) throw new RopewalkError('too-large', `${command} says more than ${maxBytes} bytes`)
    // what the shell answers when there is no such program, or one that cannot be run
    if (code === 127 || code === 126) throw new RopewalkError('missing-tool', `${command} cannot be run here`)
    return { code, stdout: Buffer.concat(chunks).toString('utf8') }
  } finally {
    signal.removeEventListener('abort', end.now)
    end.done()
  }
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new RopewalkError('missing-tool', messageOf(error), { cause: error })))
    child.on('close', (code, signal) => resolve(code ?? SIGNALLED + constants.signals[signal ?? 'SIGKILL']))
  })
}

/** Asks the whole group to end, and soon after makes it. */
function ending(child: ChildProcess): { now: () => void; done: () => void } {
  let timer: NodeJS.Timeout | undefined
  const kill = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, signal)
    } catch {} // it has ended
  }
  return {
    now: () => {
      kill('SIGTERM')
      timer ??= setTimeout(() => kill('SIGKILL'), GRACE_MS)
    },
    done: () => clearTimeout(timer),
  }
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (line) =>
    onLine(line.slice(0, MAX_LINE)),
  )
}

function stopped(signal: AbortSignal, command: string, timeoutMs: number): RopewalkError {
  const { code } = toRopewalkError(signal.reason)
  if (code !== 'timeout') return new RopewalkError('aborted', 'Stopped before it was done')
  return new RopewalkError('timeout', `${command} was not done within ${Math.round(timeoutMs / 1_000)} s`)
}
