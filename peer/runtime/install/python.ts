import { realpath, stat } from 'node:fs/promises'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { z } from 'zod'
import { runProgram } from '../../run-program.ts'

/** A Python of this machine. */
export interface Python {
  /** As it was named or found. */
  readonly path: string
  /** What really runs: not a shim, not a virtual environment's link. */
  readonly executable: string
  readonly version: readonly [number, number, number]
  /** Its installation's prefix. */
  readonly base: string
  /** Whether it can make virtual environments with pip in them. */
  readonly venv: boolean
  /** CPython with its lock, which is what Ray has wheels for. */
  readonly usual: boolean
  /** Whether every user of the machine can run it. */
  readonly open: boolean
}

export interface PythonSearch {
  /** The only one that is looked at. */
  readonly named?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Prefers one that other users can run, since leases run as users of their own. */
  readonly forOthers: boolean
  readonly signal?: AbortSignal | undefined
}

/** Minor versions of Python 3 that there is a Ray for. */
export const PYTHON_MINORS = [10, 13] as const
const RANGE = `3.${PYTHON_MINORS[0]} to 3.${PYTHON_MINORS[1]}`

const PROBE_TIMEOUT_MS = 20_000
const MAX_CANDIDATES = 40

const PROBE = `
import importlib.util, json, sys, sysconfig
print(json.dumps({
  "executable": getattr(sys, "_base_executable", "") or sys.executable,
  "version": list(sys.version_info[:3]),
  "base": sys.base_prefix,
  "venv": all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip")),
  "usual": sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED"),
}))`

const probeSchema = z.object({
  executable: z.string().min(1).max(4_096),
  version: z.tuple([z.int(), z.int(), z.int()]),
  base: z.string().min(1).max(4_096),
  venv: z.boolean(),
  usual: z.boolean(),
})

/**
 * Finds a Python that can carry the runtime: the system's own first, then those on the PATH, and before all of them those
 * that other users can run.
 * @throws RopewalkError `missing-tool`, `unsupported`
 */
export async function findPython(search: PythonSearch): Promise<Python> {
  if (search.named !== undefined) return await named(search.named, search)
  const found: Python[] = []
  for (const path of candidates(search.env)) {
    const python = await probe(path, search.signal)
    if (python === undefined || !supported(python)) continue
    found.push(python)
    if (python.venv && (python.open || !search.forOthers)) return python
  }
  const whole = found.find(({ venv }) => venv)
  if (whole !== undefined) return whole
  const [first] = found
  if (first !== undefined) throw withoutVenv(first)
  throw new RopewalkError('missing-tool', `No Python ${RANGE} is on this machine`, {
    hint: 'apt-get install python3 python3-venv, or name one: ropewalk runtime install --python PATH',
  })
}

async function named(path: string, { env, signal }: PythonSearch): Promise<Python> {
  const paths = path.includes('/') ? [path] : folders(env).map((folder) => join(folder, path))
  for (const one of paths) {
    const python = await probe(one, signal)
    if (python === undefined) continue
    if (!supported(python)) {
      throw new RopewalkError(
        'unsupported',
        `${one} is Python ${python.version.join('.')}, and not one Ray is made for`,
        {
          hint: `name a CPython ${RANGE} with --python PATH`,
        },
      )
    }
    if (!python.venv) throw withoutVenv(python)
    return python
  }
  throw new RopewalkError('missing-tool', `${path} is not a Python that can be run`, {
    hint: `name a CPython ${RANGE} with --python PATH`,
  })
}

function withoutVenv({ path, version }: Python): RopewalkError {
  const sentence = `${path} (${version.join('.')}) makes no virtual environments: its modules venv and ensurepip are missing`
  return new RopewalkError('missing-tool', sentence, { hint: 'apt-get install python3-venv' })
}

function supported({ version: [major, minor], usual }: Python): boolean {
  return usual && major === 3 && minor >= PYTHON_MINORS[0] && minor <= PYTHON_MINORS[1]
}

/** `/usr/bin/python3`, then on the PATH `python3` and the numbered ones, newest first. */
function candidates(env: PythonSearch['env']): string[] {
  const [oldest, newest] = PYTHON_MINORS
  const minors = Array.from({ length: newest - oldest + 1 }, (_, index) => `python3.${newest - index}`)
  const onPath = folders(env).flatMap((folder) => ['python3', ...minors].map((name) => join(folder, name)))
  return [...new Set(['/usr/bin/python3', ...onPath])]
}

function folders(env: PythonSearch['env']): string[] {
  return (env.PATH ?? '').split(delimiter).filter(isAbsolute).slice(0, MAX_CANDIDATES)
}

async function probe(path: string, signal: AbortSignal | undefined): Promise<Python | undefined> {
  if (!(await stat(path).catch(() => undefined))?.isFile()) return undefined
  try {
    const { code, stdout } = await runProgram(path, ['-I', '-c', PROBE], { timeoutMs: PROBE_TIMEOUT_MS, signal })
    if (code !== 0) return undefined
    const said = probeSchema.parse(JSON.parse(stdout))
    return { path, ...said, open: (await openToAll(said.executable)) && (await openToAll(said.base)) }
  } catch (error) {
    if (isRopewalkError(error, 'aborted')) throw error
    return undefined // whatever it is, it is no Python
  }
}

/** Whether everybody may read and run it, and pass through the folders above it. */
async function openToAll(path: string): Promise<boolean> {
  try {
    const real = await realpath(path)
    if (((await stat(real)).mode & 0o005) !== 0o005) return false
    for (let folder = dirname(real); ; folder = dirname(folder)) {
      if (((await stat(folder)).mode & 0o001) === 0) return false
      if (folder === dirname(folder)) return true
    }
  } catch {
    return false
  }
}
