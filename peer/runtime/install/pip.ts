import { createWriteStream } from 'node:fs'
import { RopewalkError } from '@ropewalk/shared/errors'
import { runProgram } from '../../run-program.ts'
import { pipFailure } from './pip-failure.ts'

/** How far an installation is. */
export type Progress =
  /** A Python was found, and an environment is made of it. */
  | { readonly step: 'environment'; readonly what: string }
  /** Package `done` of about `total` is fetched or found in pip's cache; `what` is its file and size. */
  | { readonly step: 'fetch'; readonly done: number; readonly total: number; readonly what: string }
  | { readonly step: 'unpack'; readonly total: number }
  | { readonly step: 'check'; readonly what: string }
  /** Another installation in the same folder goes first. */
  | { readonly step: 'wait' }

export interface PipOptions {
  readonly python: string
  readonly requirements: string
  /** Packages it may be about. */
  readonly packages: number
  readonly env: NodeJS.ProcessEnv
  /** Everything pip says is kept there. */
  readonly logFile: string
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly progress: (progress: Progress) => void
}

/** Variables with which a user's own habits would change what is installed, or where. Mirrors and proxies are not among them. */
const NOT_OURS =
  /^(PYTHON.*|VIRTUAL_ENV|PIP_(TARGET|PREFIX|ROOT|USER|REQUIREMENT|CONSTRAINT|BUILD_CONSTRAINT|NO_DEPS|PRE|EDITABLE|UPGRADE|PYTHON|REQUIRE_VIRTUALENV|REQUIRE_HASHES|NO_BINARY|ONLY_BINARY|DRY_RUN|REPORT|QUIET|VERBOSE|LOG|PROGRESS_BAR|IGNORE_INSTALLED|NO_COMPILE|PLATFORM|ABI))$/

const KEPT_LINES = 400

/** The environment variables for pip and what it starts. */
export function pipEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  temporary: string,
): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !NOT_OURS.test(name))
  return { ...Object.fromEntries(kept), TMPDIR: temporary, LC_ALL: 'C.UTF-8', PIP_DISABLE_PIP_VERSION_CHECK: '1' }
}

/**
 * Installs the requirements: every package pinned and hashed, wheels only. What was fetched stays in pip's cache, so the
 * next try goes on from there.
 * @throws RopewalkError by {@link pipFailure}
 */
export async function pipInstall(options: PipOptions): Promise<void> {
  const { python, requirements, packages, env, logFile, timeoutMs, signal, progress } = options
  const follow = followPip(packages, progress)
  const lines: string[] = []
  const log = createWriteStream(logFile, { mode: 0o644 }).on('error', () => {}) // only for people
  const flags = '--require-hashes --only-binary=:all: --no-input --no-color --progress-bar=off'.split(' ')
  try {
    const { code } = await runProgram(python, ['-I', '-m', 'pip', 'install', ...flags, '-r', requirements], {
      env,
      timeoutMs,
      signal,
      onLine: (line) => {
        log.write(`${line}\n`)
        lines.push(line)
        if (lines.length > KEPT_LINES) lines.shift()
        follow(line)
      },
    })
    if (code !== 0) throw pipFailure(lines, logFile)
  } catch (error) {
    if (error instanceof RopewalkError && error.code === 'timeout') {
      throw new RopewalkError('timeout', error.message, {
        hint: 'the same command again goes on from here',
        cause: error,
      })
    }
    throw error
  } finally {
    log.end()
  }
}

/** Turns pip's lines into progress. */
export function followPip(packages: number, progress: (progress: Progress) => void): (line: string) => void {
  let total = packages
  let done = 0
  return (line) => {
    if (line.startsWith('Ignoring ')) total = Math.max(total - 1, done)
    const names = BEGINS.exec(line)?.[1]
    if (names !== undefined) {
      done += 1
      total = Math.max(total, done)
    }
    const what = names ?? FILE.exec(line)?.slice(1).filter(Boolean).join(', ')
    if (what !== undefined) progress({ step: 'fetch', done, total, what })
    if (line.startsWith('Installing collected packages: ')) progress({ step: 'unpack', total: line.split(',').length })
  }
}

/** A package's first line: from an index, or from a folder. */
const BEGINS = /^(?:Collecting |Processing (?:.*\/)?)([A-Za-z0-9][\w.+-]{0,200})/
const FILE = /^ {2}(?:Downloading|Using cached) ([\w.+-]{1,200}?)(?:\.metadata)?(?: \(([\d.]+ (?:[kMG]B|bytes))\))?$/
