import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { PassThrough, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { MAX_PACKAGE_BYTES } from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { ZipFile } from 'yazl'
import { listTree, type TreeEntry, type TreeOptions } from './working-dir.ts'

/** The same tree is the same package, whenever its files were written. */
const MTIME = new Date(2020, 0, 1)

/** A working directory as Ray's runtime environment takes it. */
export interface Package {
  /** Made of paths, permissions and contents. */
  readonly name: string
  readonly entries: readonly HashedEntry[]
}

interface HashedEntry extends TreeEntry {
  readonly hash: string
}

/** Reads a working directory through and names its package. @throws RopewalkError as {@link listTree} */
export async function readPackage(directory: string, options: TreeOptions): Promise<Package> {
  const entries: HashedEntry[] = []
  const whole = createHash('sha256')
  for (const entry of await listTree(directory, options)) {
    const hash = entry.path.endsWith('/') ? '' : await hashOf(entry, options.signal)
    entries.push({ ...entry, hash })
    whole.update(`${JSON.stringify([entry.path, entry.executable, hash])}\n`)
  }
  return { name: whole.digest('hex').slice(0, 40), entries }
}

/** Writes a package to a file. @returns its bytes. @throws RopewalkError `too-large`, `conflict` if a file changed since */
export async function writePackage({ entries }: Package, to: string, signal: AbortSignal): Promise<number> {
  const zip = new ZipFile()
  const limited = atMost(MAX_PACKAGE_BYTES)
  // a failed file ends the zip, which would otherwise wait for it
  zip.on('error', (error: Error) => limited.destroy(error))
  for (const entry of entries) {
    const mode = entry.executable ? 0o100755 : 0o100644
    const times = { mtime: MTIME, forceDosTimestamp: true }
    if (entry.path.endsWith('/')) zip.addEmptyDirectory(entry.path, { ...times, mode: 0o40755 })
    else
      zip.addReadStreamLazy(entry.path, { ...times, mode }, (opened) => {
        const checked = unchanged(entry)
        const out = new PassThrough()
        pipeline(createReadStream(entry.source), checked, out).catch((error: unknown) =>
          limited.destroy(asError(error)),
        )
        opened(undefined, out)
      })
  }
  zip.end()
  try {
    await pipeline(zip.outputStream, limited, createWriteStream(to, { mode: 0o600 }), { signal })
  } catch (error) {
    throw toRopewalkError(error)
  }
  return (await stat(to)).size
}

async function hashOf(entry: TreeEntry, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  let read = 0
  try {
    for await (const chunk of createReadStream(entry.source, { signal }) as AsyncIterable<Buffer>) {
      read += chunk.length
      if (read > entry.bytes) throw changed(entry)
      hash.update(chunk)
    }
  } catch (error) {
    const known = toRopewalkError(error)
    if (known.code !== 'permission-denied') throw known
    throw new RopewalkError(known.code, `${entry.path} may not be read`, {
      hint: 'leave it out by .rayignore',
      cause: error,
    })
  }
  return hash.digest('hex')
}

/** Passes a file on and fails at its end when it is not what the package was named after. */
function unchanged(entry: HashedEntry): Transform {
  const hash = createHash('sha256')
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
    flush(done) {
      done(hash.digest('hex') === entry.hash ? null : changed(entry))
    },
  })
}

function atMost(bytes: number): Transform {
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      if (seen < bytes) return done(null, chunk)
      done(
        new RopewalkError('too-large', 'The working directory is over 100 MiB when packed, which Ray does not take', {
          hint: 'leave data and models out by .gitignore or .rayignore, and let the job fetch them',
        }),
      )
    },
  })
}

function changed({ path }: TreeEntry): RopewalkError {
  return new RopewalkError('conflict', `${path} changed while it was packed`, { hint: 'submit again when it is still' })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
