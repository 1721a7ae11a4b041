import { finished } from 'node:stream/promises'
import type { CommandSpec } from '../program.ts'
import { parseVia } from './ssh.ts'

export const sshProxy: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<peer>', 'name, node id or mesh address')
      .argument('[service]', 'name or port of an exposed service', 'ssh')
      .option('--via <way>', 'auto, mesh or tunnel', 'auto')
      .action((peer: string, service: string, options: { via: string }) =>
        run(async (cli) => {
          const local = await cli.peer()
          const stream = await local.openStream({
            peer,
            service,
            via: parseVia(options.via),
            signal: cli.io.signal,
            ...(cli.timeoutMs === undefined ? {} : { timeoutMs: cli.timeoutMs }),
          })
          cli.io.signal.addEventListener('abort', () => stream.destroy(), { once: true })
          cli.io.stdout.on('error', () => stream.destroy()) // the reader has gone: there is nobody to write to
          cli.io.stdin.pipe(stream)
          stream.pipe(cli.io.stdout, { end: false })
          await finished(stream, { writable: false })
          stream.destroy()
          cli.io.stdin.unpipe(stream)
          cli.io.stdin.destroy()
        }),
      ),
}
