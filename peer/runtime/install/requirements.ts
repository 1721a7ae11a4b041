import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RopewalkError } from '@ropewalk/shared/errors'

/** What an environment is made from. */
export interface Requirements {
  readonly file: string
  /** SHA-256 of the file: another one means another environment. */
  readonly hash: string
  /** The version of Ray it pins. */
  readonly ray: string
  /** Packages it pins, for any machine. */
  readonly packages: number
}

/** The pinned, hashed packages that come with this version. */
export const REQUIREMENTS = join(import.meta.dirname, 'requirements.txt')

const PIN = /^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([0-9][0-9a-z.]{0,31})[ ;\\]/gm

/** Reads a requirements file as pip-compile writes it. @throws RopewalkError `bad-config` when it pins no Ray */
export async function readRequirements(file: string): Promise<Requirements> {
  const text = await readFile(file, 'utf8')
  const pins = [...text.matchAll(PIN)].map(([, name, version]) => ({ name, version }))
  const ray = pins.find(({ name }) => name === 'ray')?.version
  if (ray === undefined) throw new RopewalkError('bad-config', `${file} pins no version of Ray`)
  const hash = createHash('sha256').update(text).digest('hex')
  return { file, hash, ray, packages: new Set(pins.map(({ name }) => name)).size }
}
