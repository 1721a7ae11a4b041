import type { CommandSpec } from '../program.ts'
import { bytesText, millisText } from '../text.ts'

export const paths: CommandSpec = {
  build: (command, run) =>
    command.argument('<peer>', 'name, node id or mesh address').action((peer: string) =>
      run(async (cli) => {
        const answer = await (await cli.peer()).api.paths({ params: { peer } })
        cli.print(answer, () =>
          answer.paths.length === 0
            ? `No path to ${answer.peer} is known yet.\n`
            : cli.table(
                ['ID', 'KIND', 'STATE', 'RTT', 'JITTER', 'LOSS', 'MTU', 'LOCAL', 'REMOTE', 'SENT', 'RECEIVED'],
                answer.paths.map((path) => [
                  path.id,
                  path.kind,
                  path.state,
                  millisText(path.rttMs),
                  millisText(path.jitterMs),
                  `${(path.lossRatio * 100).toFixed(1)} %`,
                  path.mtu,
                  path.local,
                  path.remote,
                  bytesText(path.txBytes),
                  bytesText(path.rxBytes),
                ]),
              ),
        )
      }),
    ),
}
