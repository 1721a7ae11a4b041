import type { CommandSpec } from '../program.ts'

export const down: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const answer = await (await cli.peer()).api.shutdown()
        cli.print(answer, () => 'The peer is stopping.\n')
      }),
    ),
}
