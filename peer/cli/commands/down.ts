import type { CommandSpec } from '../program.ts'

export const down: CommandSpec = {
  name: 'down',
  summary: 'stop the peer cleanly: it says good-bye and undoes what it did to this machine',
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const answer = await (await cli.peer()).api.shutdown()
        cli.print(answer, () => 'The peer is stopping.\n')
      }),
    ),
}
