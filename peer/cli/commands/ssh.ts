import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Via, viaSchema } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type CommandSpec, ExitWith } from '../program.ts'
import { pinHostKeys, requireSsh, sshOptions } from '../ssh-options.ts'

/** `--via` as typed. @throws RopewalkError `bad-usage` */
export function parseVia(text: string): Via {
  const parsed = viaSchema.safeParse(text)
  if (parsed.success) return parsed.data
  throw new RopewalkError('bad-usage', `--via is auto, mesh or tunnel, not “${text}”`)
}

export const ssh: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<peer>', 'worker-a or user@worker-a')
      .argument('[args...]', 'for ssh, after --')
      .option('--via <way>', 'auto, mesh or tunnel', 'auto')
      .action((target: string, args: string[], options: { via: string }) =>
        run(async (cli) => {
          const via = parseVia(options.via)
          const at = target.lastIndexOf('@')
          const { peer } = await (await cli.peer()).api.peer({ params: { peer: target.slice(at + 1) } })
          requireSsh(peer)
          await pinHostKeys(cli.stateFolder, [peer])
          const flags = sshOptions({ peer, stateFolder: cli.stateFolder, via }).flatMap(([key, value]) => [
            '-o',
            `${key}=${value}`,
          ])
          const host = `${target.slice(0, at + 1)}${peer.name}`
          const child = spawn('ssh', [...flags, host, ...args], { stdio: 'inherit' })
          const [code] = await Promise.race([
            once(child, 'exit') as Promise<[number | null]>,
            once(child, 'error').then(([error]: unknown[]) => {
              throw new RopewalkError('missing-tool', 'The ssh program could not be started', {
                hint: 'install openssh-client',
                cause: error,
              })
            }),
          ])
          if (code !== 0) throw new ExitWith(code ?? 1)
        }),
      ),
}
