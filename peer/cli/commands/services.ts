import { parseExpose } from '../../tunnels/index.ts'
import type { CommandSpec } from '../program.ts'

export const services: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const { services: found } = await (await cli.peer()).api.services({ query: { limit: 1000 } })
        cli.print({ version: 1, services: found }, () =>
          found.length === 0
            ? 'Nothing is exposed.\n'
            : cli.table(
                ['PEER', 'SERVICE', 'PORT', 'PROTOCOL'],
                found.map((service) => [service.peer, service.name, service.port, service.protocol]),
              ),
        )
      }),
    ),
}

export const expose: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name=port>', 'e.g. jupyter=8888; ssh alone means ssh=22')
      .option('--http', 'it speaks HTTP')
      .option('--udp', 'it speaks UDP')
      .action((text: string, kind: { http?: boolean; udp?: boolean }) =>
        run(async (cli) => {
          const answer = await (await cli.peer()).api.expose({ body: parseExpose(text, kind) })
          cli.print(answer, () => `${answer.service.name} on port ${answer.service.port} is open to members.\n`)
        }),
      ),
}

export const unexpose: CommandSpec = {
  build: (command, run) =>
    command.argument('<name>', 'as it was exposed').action((name: string) =>
      run(async (cli) => {
        const answer = await (await cli.peer()).api.unexpose({ params: { name } })
        cli.print(answer, () => `${name} is closed.\n`)
      }),
    ),
}
