import { once } from 'node:events'
import { createForward, parsePorts } from '../../tunnels/index.ts'
import { type CommandSpec, errorText } from '../program.ts'
import { parseVia } from './ssh.ts'

export const forward: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<peer>', 'name, node id or mesh address')
      .argument('<ports...>', '8888, 9000:8888, 9000:jupyter, 6006-6010')
      .option('--via <way>', 'auto, mesh or tunnel', 'auto')
      .action((peer: string, ports: string[], options: { via: string }) =>
        run(async (cli) => {
          const via = parseVia(options.via)
          const local = await cli.peer()
          const { peer: worker } = await local.api.peer({ params: { peer } })
          await using forwarding = createForward(
            { mappings: parsePorts(ports) },
            {
              open: (service, signal) => local.openStream({ peer: worker.nodeId, service, via, signal }),
              logger: cli.logger.child({ room: 'forward' }),
              onRefused: (_service, error) => cli.io.stderr.write(errorText(error, cli.io.stderr.isTTY === true)),
            },
          )
          await forwarding.start({ signal: cli.io.signal })
          const listening = forwarding.local.map(({ port, service }) => ({ port, service, peer: worker.name }))
          cli.print({ version: 1, forwards: listening }, () =>
            listening.map(({ port, service }) => `127.0.0.1:${port} → ${worker.name} ${service}\n`).join(''),
          )
          for (const { service } of listening) {
            // no error: a service may be exposed later, and connections wait for nothing
            if (!worker.services.some(({ name, port }) => service === name || Number(service) === port))
              cli.say(
                `${worker.name} does not expose ${service} now; connections are refused until it does (ropewalk expose, there)`,
              )
          }
          if (!cli.io.signal.aborted) await once(cli.io.signal, 'abort')
        }),
      ),
}
