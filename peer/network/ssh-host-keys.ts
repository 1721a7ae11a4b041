import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSshHostKey } from '@ropewalk/shared/records'

const KEY = /^\S+ \S+/
/** The record has room for no more. */
const MOST = 6

/**
 * The public host keys of this machine's sshd, `ssh-ed25519 AAAA…`, without comments; all of them, since ssh picks one.
 * None where there is no sshd or its keys cannot be read.
 */
export async function readSshHostKeys(folder = '/etc/ssh'): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  const files = names.filter((name) => /^ssh_host_\w+_key\.pub$/.test(name)).sort()
  const texts = await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8').catch(() => '')))
  return texts
    .flatMap((text) => KEY.exec(text)?.[0] ?? [])
    .filter(isSshHostKey) // one that a record cannot carry would cost all of it
    .slice(0, MOST)
}
