import { chown, mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import type { LeaseGroups } from './control-groups.ts'
import { HOME_INSIDE } from './face.ts'

/** What a lease's folder is made from. */
export interface LeaseFolderOptions {
  readonly folder: string
  readonly user: number | null
  readonly table: string
  readonly rules: string
  readonly groups: LeaseGroups
  readonly address: string | undefined
}

/** Makes the folder of a lease: the record of what the keeper makes and removes, and the folders of the lease itself.
 *  @throws system errors; `EEXIST` when the lease has one already */
export async function makeLeaseFolder(options: LeaseFolderOptions): Promise<void> {
  const { folder, user, groups } = options
  await mkdir(folder, { mode: 0o700 })
  const files: Readonly<Record<string, string>> = {
    table: options.table,
    rules: options.rules,
    groups: lines(groups.folders),
    limits: lines(groups.limits.map(({ value, file }) => `${value}\t${file}`)),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 })
  for (const name of ['tmp', 'home']) {
    await mkdir(join(folder, name), { mode: 0o700 })
    if (user !== null) await chown(join(folder, name), user, user)
  }
  await mkdir(join(folder, 'etc'), { mode: 0o755 })
  const known = { ...accounts(user ?? 0), hosts: await hosts(options.address) }
  for (const [name, text] of Object.entries(known)) await writeFile(join(folder, 'etc', name), text, { mode: 0o644 })
}

function lines(words: readonly string[]): string {
  return words.map((word) => `${word}\n`).join('')
}

function accounts(user: number): { passwd: string; group: string } {
  const root = user === 0 ? [] : ['root:x:0:']
  return {
    passwd: `${user === 0 ? '' : 'root:x:0:0:root:/:/bin/sh\n'}lease:x:${user}:${user}:lease:${HOME_INSIDE}:/bin/sh\n`,
    group: lines([...root, `lease:x:${user}:`]),
  }
}

/** This machine's, but its own name means the mesh's address: programs that ask for it tell it to other workers. */
async function hosts(address: string | undefined): Promise<string> {
  const known = await readFile('/etc/hosts', 'utf8').catch(() => '127.0.0.1 localhost\n')
  return address === undefined ? known : `${address} ${hostname()}\n${known}`
}

/** Folders outside of the runtime that hold its interpreter; none where that is the system's. */
export async function interpreterFolders(runtime: string): Promise<string[]> {
  const [own, program] = await Promise.all([runtime, join(runtime, 'bin', 'python3')].map((path) => realpath(path)))
  const prefix = dirname(dirname(program ?? ''))
  const isThere = prefix === own || /^\/(usr|bin|sbin|lib|lib64)(\/|$)/.test(prefix)
  return isThere ? [] : [prefix]
}
