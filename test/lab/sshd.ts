import { spawnSync } from 'node:child_process'
import { groupsAreFixed } from './groups.ts'

/** Why the machine's sshd cannot serve logins in a world, or null: it gives its rights away before it reads a login, and in
 *  an ordinary user's namespace groups cannot be set. Tests of ssh are skipped there. */
export function sshdRefusal(): string | null {
  if (spawnSync('which', ['sshd', 'ssh-keygen']).status !== 0) return 'sshd is not installed'
  return groupsAreFixed() ? 'sshd cannot serve in a user namespace' : null
}
