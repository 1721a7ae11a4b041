import { join } from 'node:path'
import { toRopewalkError } from '@ropewalk/shared/errors'
import { z } from 'zod'
import { readIfThere, writeAtomically } from './atomic-file.ts'
import { damaged, foreign, unwrapContent, wrapContent } from './envelope.ts'

/** How a document's value becomes bytes. `decode` may throw anything; its file then counts as damaged. */
export interface Format<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** Runs work while nobody else, in this process or another, writes in the folder. */
export type Exclusive = <R>(work: () => Promise<R>) => Promise<R>

/** One file of the state folder, typed. */
export interface Document<T> {
  readonly path: string
  /** The value, or `undefined` when there is no file. @throws RopewalkError `state-corrupt`, `state-foreign`, `version-mismatch`, `permission-denied` */
  read(): Promise<T | undefined>
  /** Replaces the value. A file that is not readable as ours is never overwritten. @throws as `read` */
  write(value: T): Promise<void>
  /** Reads, changes and writes under the folder's lock; a change that returns what came in writes nothing. @throws as `read` */
  update(change: (value: T | undefined) => T): Promise<T>
}

/** Makes a document of a folder. */
export function createDocument<T>(
  place: { readonly folder: string; readonly exclusive: Exclusive },
  kind: string,
  format: Format<T>,
): Document<T> {
  return new FileDocument(join(place.folder, kind), kind, format, place.exclusive)
}

/** A signed statement as it is. */
export const rawFormat: Format<Uint8Array> = { encode: (value) => value, decode: (bytes) => new Uint8Array(bytes) }

/** JSON by a zod schema. */
export function jsonFormat<T>(schema: z.ZodType<T>): Format<T> {
  return {
    encode: (value) => Buffer.from(`${JSON.stringify(z.encode(schema, value), undefined, 1)}\n`),
    decode: (bytes) => schema.parse(JSON.parse(Buffer.from(bytes).toString())),
  }
}

class FileDocument<T> implements Document<T> {
  readonly path: string
  readonly #kind: string
  readonly #format: Format<T>
  readonly #exclusive: Exclusive

  constructor(path: string, kind: string, format: Format<T>, exclusive: Exclusive) {
    this.path = path
    this.#kind = kind
    this.#format = format
    this.#exclusive = exclusive
  }

  async read(): Promise<T | undefined> {
    const file = await withCode(() => readIfThere(this.path)).catch((error: unknown) => {
      throw isNoFile(error) ? foreign(this.path, 'is no file') : error
    })
    if (file === undefined) return undefined
    const content = unwrapContent(this.#kind, file, this.path)
    try {
      return this.#format.decode(content)
    } catch (error) {
      throw damaged(this.path, error)
    }
  }

  async write(value: T): Promise<void> {
    await this.update(() => value)
  }

  update(change: (value: T | undefined) => T): Promise<T> {
    return this.#exclusive(async () => {
      const before = await this.read()
      const after = change(before)
      if (after !== before) {
        const file = wrapContent(this.#kind, this.#format.encode(after))
        await withCode(() => writeAtomically(this.path, file))
      }
      return after
    })
  }
}

/** Whether something else stands where a file should be: a folder, or a link that leads in circles. */
function isNoFile(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && ['EISDIR', 'ELOOP', 'ENOTDIR'].includes(String(cause.code))
}

async function withCode<R>(work: () => Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    throw toRopewalkError(error)
  }
}
