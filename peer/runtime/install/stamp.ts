import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomically } from '../../state/index.ts'

/** A runtime that is installed whole. */
export interface Runtime {
  /** The virtual environment; nothing in it changes any more, and it stays while a process uses it. */
  readonly folder: string
  /** Its interpreter: run Ray as `python -m ray.scripts.scripts`, or as `ray` beside it. */
  readonly python: string
  readonly rayVersion: string
  readonly pythonVersion: string
  /** The interpreter's own installation, which the environment needs as well: `/usr`. */
  readonly base: string
  /** What the environment takes on the disk. */
  readonly sizeBytes: number
}

/** Names of environments that an installation made; nothing else in the folder is ever removed. */
export const ENVIRONMENT = /^ray-[0-9a-z.]{1,32}-[0-9a-f]{8}$/

const STAMP = 'runtime.json'
const STAMP_MODE = 0o644
const STAMP_LIMIT_BYTES = 16_384

const stampSchema = z.object({
  version: z.literal(1),
  environment: z.string().regex(ENVIRONMENT),
  ray: z.string().min(1).max(32),
  python: z.string().min(1).max(32),
  base: z.string().min(1).max(4_096),
  /** SHA-256 of the requirements it was made from. */
  requirements: z.string().regex(/^[0-9a-f]{64}$/),
  sizeBytes: z.int().nonnegative(),
})

/** What an installation writes last, and what makes its environment the one that counts. */
export type Stamp = z.infer<typeof stampSchema>

/** The stamp in a runtime folder; one that makes no sense is none: then a new installation is the way out. */
export async function readStamp(folder: string): Promise<Stamp | undefined> {
  const file = await open(join(folder, STAMP), 'r').catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(STAMP_LIMIT_BYTES), 0, STAMP_LIMIT_BYTES, 0)
    return stampSchema.safeParse(JSON.parse(buffer.toString('utf8', 0, bytesRead))).data
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}

/** Makes an environment the one that counts, all at once. */
export async function writeStamp(folder: string, stamp: Stamp): Promise<void> {
  await writeAtomically(join(folder, STAMP), Buffer.from(`${JSON.stringify(stamp)}\n`), STAMP_MODE)
}

/** The runtime that is installed in this folder, if one is: two small reads, so ask whenever you want to know. */
export async function findRuntime(folder: string): Promise<Runtime | undefined> {
  const stamp = await readStamp(folder)
  if (stamp === undefined) return undefined
  const runtime = runtimeOf(folder, stamp)
  try {
    await access(runtime.python, constants.X_OK)
    return runtime
  } catch {
    return undefined
  }
}

/** What a stamp says, with paths. */
export function runtimeOf(folder: string, stamp: Stamp): Runtime {
  const environment = join(folder, stamp.environment)
  return {
    folder: environment,
    python: join(environment, 'bin', 'python'),
    rayVersion: stamp.ray,
    pythonVersion: stamp.python,
    base: stamp.base,
    sizeBytes: stamp.sizeBytes,
  }
}
