import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { checkout } from '../lab/index.ts'

const ROPEWALK = join(checkout, 'peer/bin/ropewalk.mjs')
const INSTALL_MS = 600_000

/**
 * Ray for tests, installed as a user would; one that is there is kept for the next run, and shared by all. Every peer that is
 * started from here finds it. Undefined where it cannot be had, which is said once: the tests that need it are left out then.
 */
export function ensureRay(): string | undefined {
  const folder = process.env.ROPEWALK_RUNTIME ?? join(homedir(), '.cache/ropewalk/ray')
  process.env.ROPEWALK_RUNTIME = folder
  const words = [ROPEWALK, 'runtime', 'install', '--state', join(folder, '..', 'no-peer')]
  const done = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: INSTALL_MS })
  if (done.status !== 0) {
    console.log(`SKIPPED: THE TESTS OF A REAL RAY, which cannot be installed here: ${done.stderr.trim().slice(-1_000)}`)
    return undefined
  }
  const { environment } = JSON.parse(readFileSync(join(folder, 'runtime.json'), 'utf8')) as { environment: string }
  return join(folder, environment)
}
