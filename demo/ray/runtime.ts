import { spawn } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ROPEWALK } from '../program.ts'

/**
 * Installs Ray where it is not, by the product's own command, which shows how far it is. In the user's cache, so that the next
 * run finds it; all peers that are started from here do. Resolves with the command's exit code.
 */
export function installRay(signal: AbortSignal): Promise<number> {
  const folder = process.env.ROPEWALK_RUNTIME ?? join(homedir(), '.cache', 'ropewalk', 'ray')
  process.env.ROPEWALK_RUNTIME = folder
  const words = [ROPEWALK, 'runtime', 'install', '--state', join(folder, 'no-peer')]
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, words, { stdio: 'inherit' })
    signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true })
    child.once('error', failed)
    child.once('exit', (code) => done(code ?? 1))
  })
}
