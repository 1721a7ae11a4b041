import { parsePrefix } from '@ropewalk/shared/addressing'
import { parseName } from '@ropewalk/shared/identity'
import { createNetwork, openState } from '../../state/index.ts'
import type { CommandSpec } from '../program.ts'

export const networkCreate: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name>', 'one DNS label: its members are worker-a.NAME.internal')
      .option('--ipv4-prefix <prefix>', 'where members get IPv4 addresses from (100.88.0.0/16)')
      .action((name: string, options: { ipv4Prefix?: string }) =>
        run(async (cli) => {
          const state = await openState(cli.stateFolder)
          const network = await createNetwork(state, {
            name: parseName(name),
            ipv4Prefix: options.ipv4Prefix === undefined ? undefined : parsePrefix(options.ipv4Prefix),
            nowMs: Date.now(),
          })
          const result = { version: 1, name: network.name, network: network.id, ipv4Prefix: network.ipv4Prefix }
          cli.print(result, () => `${network.id}\n`)
          cli.say(
            `Network “${network.name}” is made. Its root key lies in ${cli.stateFolder}: keep a copy of that folder safe.`,
          )
        }),
      ),
}
