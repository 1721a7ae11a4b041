import { randomBytes } from 'node:crypto'
import { mkdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isRopewalkError, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { makeFolder } from '../../make-folder.ts'
import { runProgram } from '../../run-program.ts'
import { type Lock, takeLock } from '../../state/index.ts'
import { freeBytes, removeUnused, sizeOf } from './disk.ts'
import { type Progress, pipEnvironment, pipInstall } from './pip.ts'
import { findPython, type Python } from './python.ts'
import { REQUIREMENTS, type Requirements, readRequirements } from './requirements.ts'
import { findRuntime, type Runtime, readStamp, runtimeOf, type Stamp, writeStamp } from './stamp.ts'

export interface InstallOptions {
  /** See `runtimeFolder`. */
  readonly folder: string
  /** A requirements file that pins a Ray; the one that comes with this version unless said. */
  readonly requirements?: string
  /** The Python to make it with; found unless said. */
  readonly python?: string | undefined
  /** From scratch, even where it is installed. */
  readonly repair?: boolean
  /** Least free space of the disk to begin with, in bytes; 1.5 GiB unless said. */
  readonly needBytes?: number
  /** For the whole installation, in ms; 30 min unless said. */
  readonly timeoutMs?: number | undefined
}

export interface InstallDependencies {
  readonly env: Readonly<Record<string, string | undefined>>
  /** 0 for root, who leases to users of their own. */
  readonly userId: number
  readonly signal?: AbortSignal | undefined
  readonly progress?: (progress: Progress) => void
}

export interface Installed {
  readonly runtime: Runtime
  /** Whether it was not there before. */
  readonly changed: boolean
  readonly warnings: readonly string[]
}

/** Before it unpacks 400 MB pip holds the packages twice: in its cache and in the temporary folder. */
const NEED_BYTES = 1.5 * 1_024 ** 3
const TIMEOUT_MS = 30 * 60_000
const VENV_TIMEOUT_MS = 5 * 60_000
const CHECK_TIMEOUT_MS = 3 * 60_000
const LOCK_POLL_MS = 200

/**
 * Installs the runtime, or finds that it is. It is made under a name of its own, checked, and counts from the moment its
 * stamp is written; what was there before stays until no process uses it. One at a time in a folder: a second one waits.
 * @throws RopewalkError `missing-tool`, `unsupported`, `disk-full`, `unreachable`, `hash-mismatch`, `aborted`, …
 */
export async function installRuntime(options: InstallOptions, dependencies: InstallDependencies): Promise<Installed> {
  dependencies.signal?.throwIfAborted()
  const wanted = await readRequirements(options.requirements ?? REQUIREMENTS)
  await makeFolder(options.folder, 0o755)
  const folder = await realpath(options.folder) // it ends up in the first lines of scripts
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)
  const signal = dependencies.signal === undefined ? timeout : AbortSignal.any([dependencies.signal, timeout])
  const { progress = () => {} } = dependencies
  using _lock = await lockFolder(folder, signal, progress)
  const known = await readStamp(folder)
  if (known !== undefined && known.requirements === wanted.hash && options.repair !== true) {
    const runtime = await findRuntime(folder)
    if (runtime !== undefined && (await importsRay(runtime, wanted, signal))) {
      await removeUnused(folder, known.environment)
      return { runtime, changed: false, warnings: [] }
    }
  }
  await removeUnused(folder, known?.environment)
  return await new Installation(folder, wanted, options, { ...dependencies, signal, progress }).run()
}

class Installation {
  readonly #folder: string
  readonly #wanted: Requirements
  readonly #options: InstallOptions
  readonly #dependencies: InstallDependencies & { signal: AbortSignal; progress: (progress: Progress) => void }
  readonly #name: string
  /** Beside the environment, so that the same disk has to have room. */
  readonly #temporary: string

  constructor(
    folder: string,
    wanted: Requirements,
    options: InstallOptions,
    dependencies: InstallDependencies & { signal: AbortSignal; progress: (progress: Progress) => void },
  ) {
    this.#folder = folder
    this.#wanted = wanted
    this.#options = options
    this.#dependencies = dependencies
    this.#name = `ray-${wanted.ray}-${randomBytes(4).toString('hex')}`
    this.#temporary = join(folder, this.#name, 'tmp')
  }

  async run(): Promise<Installed> {
    const { env, userId, signal, progress } = this.#dependencies
    const python = await findPython({ named: this.#options.python, env, forOthers: userId === 0, signal })
    await this.#room()
    const environment = join(this.#folder, this.#name)
    try {
      progress({ step: 'environment', what: `Python ${python.version.join('.')} (${python.path})` })
      await this.#build(python, environment)
      progress({ step: 'check', what: `Ray ${this.#wanted.ray}` })
      const stamp = await this.#check(python, environment)
      await writeStamp(this.#folder, stamp)
      const left = await removeUnused(this.#folder, this.#name)
      const runtime = runtimeOf(this.#folder, stamp)
      return { runtime, changed: true, warnings: [...this.#warnings(python), ...left.map(stillUsed)] }
    } catch (error) {
      await rm(environment, { recursive: true, force: true, maxRetries: 3 })
      throw error
    }
  }

  async #room(): Promise<void> {
    const free = await freeBytes(this.#folder)
    const need = this.#options.needBytes ?? NEED_BYTES
    if (free >= need) return
    const sentence = `The disk of ${this.#folder} has ${gib(free)} GiB free, and the runtime needs ${gib(need)} to be installed`
    throw new RopewalkError('disk-full', sentence, {
      hint: 'make room, or choose another disk with ROPEWALK_RUNTIME',
    })
  }

  async #build(python: Python, environment: string): Promise<void> {
    const { signal, progress } = this.#dependencies
    await mkdir(environment, { mode: 0o755 })
    await mkdir(this.#temporary, { mode: 0o700 })
    const env = pipEnvironment(this.#dependencies.env, this.#temporary)
    const made = await runProgram(python.executable, ['-I', '-m', 'venv', environment], {
      env,
      timeoutMs: VENV_TIMEOUT_MS,
      signal,
    })
    if (made.code !== 0) {
      const said = made.stdout.trim().split('\n').at(-1)?.slice(0, 200)
      throw new RopewalkError('install-failed', `${python.path} made no virtual environment: ${said}`, {
        hint: 'apt-get install python3-venv, or name another one with --python PATH',
      })
    }
    await pipInstall({
      python: join(environment, 'bin', 'python'),
      requirements: this.#wanted.file,
      packages: this.#wanted.packages,
      env,
      logFile: join(this.#folder, 'install.log'),
      timeoutMs: this.#options.timeoutMs ?? TIMEOUT_MS,
      signal,
      progress,
    })
    await rm(this.#temporary, { recursive: true, force: true })
  }

  async #check(python: Python, environment: string): Promise<Stamp> {
    const stamp: Stamp = {
      version: 1,
      environment: this.#name,
      ray: this.#wanted.ray,
      python: python.version.join('.'),
      base: python.base,
      requirements: this.#wanted.hash,
      sizeBytes: await sizeOf(environment),
    }
    const { signal } = this.#dependencies
    if (!(await importsRay(runtimeOf(this.#folder, stamp), this.#wanted, signal))) {
      throw new RopewalkError('install-failed', `Ray ${this.#wanted.ray} was installed, and does not start`, {
        hint: `see ${join(this.#folder, 'install.log')}; another Python: ropewalk runtime install --python PATH`,
      })
    }
    // a stamp that survives a power cut must not speak of files that did not
    await runProgram('sync', ['-f', environment], { timeoutMs: CHECK_TIMEOUT_MS, signal })
    return stamp
  }

  #warnings(python: Python): string[] {
    if (python.open || this.#dependencies.userId !== 0) return []
    return [
      `${python.executable} cannot be run by other users, as leases do: install python3 and python3-venv, then --repair`,
    ]
  }
}

/** Whether the environment's Python starts the Ray it should have. */
async function importsRay(runtime: Runtime, wanted: Requirements, signal: AbortSignal): Promise<boolean> {
  const script = 'import ray; print(ray.__version__)'
  try {
    const options = { timeoutMs: CHECK_TIMEOUT_MS, signal }
    const { code, stdout } = await runProgram(runtime.python, ['-I', '-c', script], options)
    return code === 0 && stdout.trim() === wanted.ray
  } catch (error) {
    if (isRopewalkError(error, 'aborted') || isRopewalkError(error, 'timeout')) throw error
    return false
  }
}

async function lockFolder(folder: string, signal: AbortSignal, progress: (progress: Progress) => void): Promise<Lock> {
  for (let said = false; ; said = true) {
    try {
      return await takeLock(join(folder, 'install.lock'), { waitMs: 0, busy: 'Another installation runs here' })
    } catch (error) {
      if (!isRopewalkError(error, 'state-locked')) throw error
      if (!said) progress({ step: 'wait' })
    }
    await delay(LOCK_POLL_MS, undefined, { signal }).catch(() => {
      throw toRopewalkError(signal.reason)
    })
  }
}

const gib = (bytes: number): string => (bytes / 1_024 ** 3).toFixed(1)

const stillUsed = (environment: string): string =>
  `${environment} is still used by a process; the next installation removes it`
