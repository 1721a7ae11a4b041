import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { CommandSpec } from '../program.ts'
import { pinHostKeys, sshOptions } from '../ssh-options.ts'
import { allPeers } from './peers.ts'
import { parseVia } from './ssh.ts'

const INCLUDE = 'Include ropewalk.config'

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
          const blocks = peers.map((peer) => {
            const lines = sshOptions({ peer, stateFolder: cli.stateFolder, via }).map(
              ([key, value]) => `  ${key} ${value}`,
            )
            const shared = ['  ControlMaster auto', '  ControlPath ~/.ssh/ropewalk-%C', '  ControlPersist 60s']
            return [`Host ${peer.name} ${peer.name}.${self.network}.internal`, ...lines, ...shared].join('\n')
          })
          const text = `# written by ropewalk ssh-config; changes here are lost\n${blocks.join('\n\n')}\n`
          if (options.install !== true) {
            cli.print({ version: 1, config: text, hosts: peers.map(({ name }) => name) }, () => text)
            return
          }
          const folder = join(cli.io.env.HOME ?? homedir(), '.ssh')
          await install(folder, text)
          cli.print({ version: 1, file: join(folder, 'ropewalk.config'), hosts: peers.map(({ name }) => name) }, () =>
            peers.length === 0
              ? 'No member exposes ssh yet; run this again when one does.\n'
              : `ssh now knows ${peers.map(({ name }) => name).join(', ')}.\n`,
          )
        }),
      ),
}

/** The include must stand first: after a Host line it would belong to that host. */
async function install(folder: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await replace(join(folder, 'ropewalk.config'), text)
  const main = join(folder, 'config')
  const before = await readFile(main, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  if (!before.split('\n').includes(INCLUDE)) await replace(main, `${INCLUDE}\n\n${before}`)
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.ropewalk-new`, text, { mode: 0o600 })
  await rename(`${file}.ropewalk-new`, file)
}
