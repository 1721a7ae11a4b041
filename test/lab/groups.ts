import { readFileSync } from 'node:fs'

/** Whether groups cannot be set here, not even to what they are: so in an ordinary user's namespace. */
export function groupsAreFixed(): boolean {
  return readFileSync('/proc/self/setgroups', 'utf8').trim() === 'deny'
}
