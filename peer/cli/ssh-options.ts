import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Peer, Via } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { makeFolder } from '../make-folder.ts'

/** The program as `ssh` must call it: absolute, since `npx` from another folder would fetch a stranger's package. */
const PROGRAM = fileURLToPath(new URL('../bin/ropewalk.mjs', import.meta.url))

export interface SshTarget {
  readonly peer: Peer
  readonly stateFolder: string
  readonly via: Via
}

/** The ssh_config options that reach a member, its host key pinned by what the mesh says of it. Keyword and value. */
export function sshOptions({ peer, stateFolder, via }: SshTarget): readonly (readonly [string, string])[] {
  const proxy = [process.execPath, PROGRAM, 'ssh-proxy', peer.nodeId, 'ssh', '--state', stateFolder, '--via', via]
  return [
    ['ProxyCommand', proxy.map(shellQuoted).join(' ')],
    ['HostKeyAlias', hostKeyAlias(peer)],
    ['UserKnownHostsFile', quoted(knownHostsFile(stateFolder))],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', 'yes'],
    ['CheckHostIP', 'no'],
  ]
}

/** The file that pins the members' host keys. */
export function knownHostsFile(stateFolder: string): string {
  return join(stateFolder, 'known_hosts')
}

/**
 * Writes the host keys of these members under their node ids: a name that moves to another node cannot swap the pin.
 * @throws RopewalkError `not-found` when none has a key
 */
export async function pinHostKeys(stateFolder: string, peers: readonly Peer[]): Promise<void> {
  const lines = peers.flatMap((peer) => peer.sshHostKeys.map((key) => `${hostKeyAlias(peer)} ${key}`))
  await makeFolder(stateFolder, 0o700)
  const file = knownHostsFile(stateFolder)
  await writeFile(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** @throws RopewalkError `not-exposed` or `not-found` when ssh cannot work, before ssh says something dark */
export function requireSsh(peer: Peer): void {
  if (!peer.services.some(({ name }) => name === 'ssh')) {
    throw new RopewalkError('not-exposed', `${peer.name} does not expose ssh`, {
      hint: `on ${peer.name}: ropewalk expose ssh`,
    })
  }
  if (peer.sshHostKeys.length === 0) {
    throw new RopewalkError('not-found', `${peer.name} has published no SSH host key`, {
      hint: `on ${peer.name}: see that /etc/ssh/ssh_host_*_key.pub exist and are readable, then restart ropewalk`,
    })
  }
}

/** The node id in lower case: ssh compares names of known_hosts so, and two ids that differ in case only do not occur. */
function hostKeyAlias({ nodeId }: Peer): string {
  return nodeId.toLowerCase()
}

function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word)
    ? word.replaceAll('%', '%%')
    : `'${word.replaceAll("'", "'\\''").replaceAll('%', '%%')}'`
}

function quoted(path: string): string {
  return path.includes(' ') ? `"${path}"` : path
}
