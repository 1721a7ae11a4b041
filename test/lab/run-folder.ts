import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PREFIX = 'ropewalk-lab'

/** When a process started, in ticks since boot; with its id it names a process for good. Null when it is gone. */
export function startOf(pid: number): string | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

/** A folder for what this run writes (captures, logs). It names its owner, so that it can be swept when that is dead. */
export function makeRunFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${PREFIX}-${process.pid}-${startOf(process.pid)}-`))
}

/** All runs' folders, and whether their owner lives. */
export async function runFolders(): Promise<
  { readonly path: string; readonly pid: number; readonly alive: boolean }[]
> {
  const found = []
  for (const name of await readdir(tmpdir())) {
    const match = /^ropewalk-lab-(\d+)-(\d+)-/.exec(name)
    if (match === null) continue
    const pid = Number(match[1])
    found.push({ path: join(tmpdir(), name), pid, alive: startOf(pid) === match[2] })
  }
  return found
}

/** Removes what dead runs left behind: their folders. (Their namespaces end with them, see holder.ts.) */
export async function sweep(): Promise<void> {
  for (const { path, alive } of await runFolders()) {
    // Another user's is not ours to remove.
    if (!alive) await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}
