import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { RopewalkError } from '@ropewalk/shared/errors'
import { runProgram } from './program.ts'
import { FIXED_WORDS } from './sandbox.ts'

/** The keeper's program. */
export const KEEPER = join(import.meta.dirname, 'keeper.sh')

const END_TIMEOUT_MS = 60_000

/** Its own environment; PATH it sets itself. */
const KEEPER_ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

/** Says that the command is about to run, and leaves it none of the keeper's pipes. */
const ANNOUNCE = ['/bin/sh', '-c', 'echo started >&4; exec "$@" 3>&- 4>&- 5>&-', 'lease']

/** Starts the keeper of a cage. Its pipes are in keeper.sh. `words` are bubblewrap's, and may hold secrets. */
export function startKeeper(folder: string, words: readonly string[], command: readonly string[]): ChildProcess {
  const args = [KEEPER, 'keep', folder, ...FIXED_WORDS, '--', ...ANNOUNCE, ...command]
  const child = spawn('/bin/sh', args, {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
    env: KEEPER_ENV,
    cwd: '/',
    // A session of its own: what a terminal sends is for the peer.
    detached: true,
  })
  const secret = child.stdio[3] as Writable
  // One that ended before it has read them says why itself.
  for (const pipe of [child.stdin, secret]) pipe?.on('error', () => {})
  secret.end(words.map((word) => `${word}\0`).join(''))
  return child
}

/** Removes what a keeper left. @throws RopewalkError `engine-failed`, `timeout` */
export async function endLease(folder: string): Promise<void> {
  const words = ['/bin/sh', KEEPER, 'end', folder]
  const { code, stderr } = await runProgram(words, { env: KEEPER_ENV, timeoutMs: END_TIMEOUT_MS })
  if (code !== 0) throw new RopewalkError('engine-failed', `${folder} cannot be removed: ${stderr.trim()}`)
}
