import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const READY_TIMEOUT_MS = 20_000

/** A program that ends when it is disposed of. */
export interface Program extends AsyncDisposable {
  readonly child: ChildProcess
}

/** Starts one; it says nothing. */
export function startProgram(program: string, args: readonly string[]): Program {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, RUST_LOG: 'error' },
  })
  const ended = once(child, 'close')
  return {
    child,
    async [Symbol.asyncDispose]() {
      child.kill()
      await ended
    },
  }
}

/** The first line that a program of ours says when it is ready. */
export async function readyLine({ child }: Program): Promise<string> {
  const limit = AbortSignal.timeout(READY_TIMEOUT_MS)
  const said = child.stdout === null ? [] : await once(child.stdout, 'data', { signal: limit })
  return String(said[0])
}
