import { lstat, readdir, readFile, rm, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ENVIRONMENT } from './stamp.ts'

const BLOCK_BYTES = 512

/** Free bytes for this user on the disk of a path, or of the nearest folder above it that is there. */
export async function freeBytes(path: string): Promise<number> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder)
      return bavail * bsize
    } catch (error) {
      if (folder === dirname(folder)) throw error
    }
  }
}

/** What a folder takes on the disk, in bytes; a file with two names counts twice. */
export async function sizeOf(folder: string): Promise<number> {
  let size = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const { blocks } = await lstat(join(entry.parentPath, entry.name))
    size += blocks * BLOCK_BYTES
  }
  return size
}

/**
 * Removes environments that an installation left in the folder, and that no process uses. Returns the names of those that
 * one does.
 */
export async function removeUnused(folder: string, keep: string | undefined): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => ENVIRONMENT.test(name) && name !== keep)
  if (names.length === 0) return []
  const mapped = await mappedFiles()
  const used: string[] = []
  for (const name of names) {
    const path = join(folder, name)
    if (await holdsOneOf(path, mapped)) used.push(name)
    else await rm(path, { recursive: true, force: true, maxRetries: 3 })
  }
  return used
}

/**
 * The files in the memory of every process that this user may look into, programs and their libraries, as `INODE NAME`: a
 * lease sees the environment at another path.
 */
async function mappedFiles(): Promise<Set<string>> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const maps = await Promise.all(processes.map((id) => readFile(`/proc/${id}/maps`, 'utf8').catch(() => '')))
  const files = new Set<string>()
  for (const text of maps) {
    for (const [, inode, name] of text.matchAll(MAPPED)) files.add(`${inode} ${name}`)
  }
  return files
}

/** A line of `/proc/PID/maps` (proc_pid_maps(5)): address, permissions, offset, device, inode, path. */
const MAPPED = /^\S+ \S+ \S+ \S+ ([1-9]\d*) +\/(?:.*\/)?([^/\n]+)$/gm

async function holdsOneOf(folder: string, files: ReadonlySet<string>): Promise<boolean> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    const { ino } = await lstat(join(entry.parentPath, entry.name))
    if (files.has(`${ino} ${entry.name}`)) return true
  }
  return false
}
