import { readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { SOCKET_PATH_LIMIT_BYTES } from '../../client/index.ts'
import { makeFolder } from '../../make-folder.ts'
import type { CommandSpec } from '../program.ts'
import { pinHostKeys, sshOptions } from '../ssh-options.ts'
import { allPeers } from './peers.ts'
import { parseVia } from './ssh.ts'

export const sshConfig: CommandSpec = {
  build: (command, run) =>
    command
      .option('--install', 'write it to ~/.ssh/ropewalk.config and include that in ~/.ssh/config')
      .option('--via <way>', 'auto, mesh or tunnel', 'auto')
      .action((options: { install?: true; via: string }) =>
        run(async (cli) => {
          const via = parseVia(options.via)
          const local = await cli.peer()
          const { self } = await local.api.status()
          const peers = (await allPeers(local)).filter(({ services }) => services.some(({ name }) => name === 'ssh'))
          await pinHostKeys(cli.stateFolder, peers)
          const folder = join(cli.io.env.HOME ?? homedir(), '.ssh')
          const blocks = peers.map((peer) => {
            const lines = sshOptions({ peer, stateFolder: cli.stateFolder, via }).map(
              ([key, value]) => `  ${key} ${value}`,
            )
            const shared = multiplexing(folder)
            return [`Host ${peer.name} ${peer.name}.${self.network}.internal`, ...lines, ...shared].join('\n')
          })
          const text = `# written by ropewalk ssh-config; changes here are lost\n${blocks.join('\n\n')}\n`
          if (options.install !== true) {
            cli.print({ version: 1, config: text, hosts: peers.map(({ name }) => name) }, () => text)
            return
          }
          await install(folder, text)
          cli.print({ version: 1, file: join(folder, 'ropewalk.config'), hosts: peers.map(({ name }) => name) }, () =>
            peers.length === 0
              ? 'No member exposes ssh yet; run this again when one does.\n'
              : `ssh now knows ${peers.map(({ name }) => name).join(', ')}.\n`,
          )
        }),
      ),
}

/**
 * One connection for several logins, where its socket has room in the kernel's 107 bytes: ssh adds 40 characters for %C and,
 * while it makes the socket, 17 more.
 */
function multiplexing(folder: string): string[] {
  const path = join(folder, 'rw-')
  if (Buffer.byteLength(path) + 40 + 17 > SOCKET_PATH_LIMIT_BYTES) return []
  return ['  ControlMaster auto', `  ControlPath ${path}%C`, '  ControlPersist 60s']
}

/** The include must stand first: after a Host line it would belong to that host. */
async function install(folder: string, text: string): Promise<void> {
  await makeFolder(folder, 0o700)
  await replace(join(folder, 'ropewalk.config'), text)
  const main = join(folder, 'config')
  const before = await readFile(main, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  // the whole path: ssh looks for a relative one in $HOME, which is not everywhere the user's home
  const include = `Include "${join(folder, 'ropewalk.config')}"`
  if (!before.split('\n').includes(include)) await replace(main, `${include}\n\n${before}`)
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.ropewalk-new`, text, { mode: 0o600 })
  await rename(`${file}.ropewalk-new`, file)
}
