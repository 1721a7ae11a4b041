import { readFileSync } from 'node:fs'

/** An ordinary user whom every host of a world knows and the machine itself does not. */
export const SOMEBODY = { name: 'somebody', uid: 61_000, home: '/run/somebody' } as const

/** Shell lines that make the user known in a host, in the /etc and /run that are the host's own. By new files in place of
 *  the old: in an ordinary user's namespace the old are nobody's, and not to be written. */
export const somebodySetup = `
(cat /etc/passwd; echo '${SOMEBODY.name}:x:${SOMEBODY.uid}:${SOMEBODY.uid}::${SOMEBODY.home}:/bin/sh') >/etc/passwd.new
(cat /etc/group; echo '${SOMEBODY.name}:x:${SOMEBODY.uid}:') >/etc/group.new
mv -f /etc/passwd.new /etc/passwd
mv -f /etc/group.new /etc/group
mkdir -m 700 ${SOMEBODY.home}
${isOnlyId() ? '' : `chown ${SOMEBODY.uid}:${SOMEBODY.uid} ${SOMEBODY.home}`}
`

/** The words before a command that make it run as that user. Root can become anybody; root of an ordinary user's namespace
 *  is the only id there, and becomes another one by another namespace in which it is called so. */
export function asSomebody(): string[] {
  const id = SOMEBODY.uid.toString()
  if (isOnlyId()) return ['unshare', '--user', `--map-user=${id}`, `--map-group=${id}`, '--']
  return ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--']
}

function isOnlyId(): boolean {
  const [, , count] = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)
  return Number(count) === 1
}
