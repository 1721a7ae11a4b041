import { readFile, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { RopewalkError } from '@ropewalk/shared/errors'
import { FILE_MODE } from './atomic-file.ts'

/** A lock that is held; releasing it twice does nothing. The kernel releases it when the process ends, however it ends. */
export interface Lock extends Disposable {
  release(): void
}

const RETRY_MS = 50
const SQLITE_BUSY = 5

/**
 * Takes the lock of a file, waiting at most `waitMs`. It is SQLite's own file lock (fcntl): Node has none of its own, a
 * file with a process id in it would lie across PID namespaces, and this one is never stale.
 * @throws RopewalkError `state-locked` when another holds it
 */
export async function takeLock(
  path: string,
  options: { readonly waitMs: number; readonly busy: string },
): Promise<Lock> {
  const deadline = performance.now() + options.waitMs
  // SQLite would make the file with the umask's mode
  await writeFile(path, '', { mode: FILE_MODE, flag: 'a' })
  for (;;) {
    const database = tryLock(path)
    if (database !== undefined) return new HeldLock(database)
    if (performance.now() >= deadline) {
      throw new RopewalkError('state-locked', options.busy, {
        hint: 'stop it first, or choose another folder with --state',
      })
    }
    await delay(RETRY_MS)
  }
}

/** Notes who holds a lock, for people; nothing relies on it. */
export async function noteHolder(path: string): Promise<void> {
  await writeFile(path, `${process.pid}\n`, { mode: FILE_MODE })
}

/** Who noted itself as holder, if anyone. */
export async function readHolder(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return /^\d{1,10}$/.test(text.trim()) ? text.trim() : undefined
}

function tryLock(path: string): DatabaseSync | undefined {
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return undefined
    throw error
  }
}

class HeldLock implements Lock {
  readonly #database: DatabaseSync

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  release(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
