import { RopewalkError } from '@ropewalk/shared/errors'
import { parseName, parseTag } from '@ropewalk/shared/identity'
import { createInvite, createRelayInvite, openState } from '../../state/index.ts'
import { parseDuration } from '../duration.ts'
import type { CommandSpec } from '../program.ts'

interface Options {
  readonly tag: string[]
  readonly name?: string
  readonly uses?: string
  readonly via: string[]
  readonly expires?: string
  readonly admit?: true
  readonly hire?: true
  readonly relay?: true
  readonly publicHost?: string
  readonly httpsPort?: string
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export const invite: CommandSpec = {
  build: (command, run) =>
    command
      .option('--name <name>', 'the name that the machine will have; it may choose one if this is left out')
      .option('--tag <tag>', 'a tag it may carry; may be repeated', collect, [])
      .option('--uses <n>', 'how many machines may join with it', '1')
      .option('--via <way>', 'a relay URL or multiaddr to join by; all that are known if left out', collect, [])
      .option('--expires <duration>', 'how long the ticket is good, and ten minutes more for clocks that differ', '24h')
      .option('--admit', 'it may let others in')
      .option('--hire', 'it may hire workers for clusters')
      .option('--relay', 'a ticket for a relay: it carries a key that is admitted already')
      .option('--public-host <host>', 'with --relay: the name or address by which the world reaches it')
      .option('--https-port <port>', 'with --relay: its public TCP port (443)')
      .action((options: Options) =>
        run(async (cli) => {
          const state = await openState(cli.stateFolder)
          const common = {
            tags: options.tag.map(parseTag),
            via: options.via,
            expiresInMs: parseDuration(options.expires ?? '24h'),
            nowMs: Date.now(),
          }
          const ticket = options.relay
            ? await createRelayInvite(state, { ...common, ...relayOptions(options) })
            : await createInvite(state, {
                ...common,
                name: options.name === undefined ? undefined : parseName(options.name),
                uses: wholeNumber(options.uses ?? '1', 'number of uses', 10_000),
                rights: [...(options.admit ? (['admit'] as const) : []), ...(options.hire ? (['hire'] as const) : [])],
              })
          cli.print({ version: 1, ticket }, () => `${ticket}\n`)
        }),
      ),
}

function relayOptions(options: Options): { name: ReturnType<typeof parseName>; publicHost: string; httpsPort: number } {
  const { name, publicHost, httpsPort = '443' } = options
  if (name === undefined || publicHost === undefined) {
    throw new RopewalkError('bad-usage', 'A relay’s ticket needs its name and its public host', {
      hint: 'ropewalk invite --relay --name relay-1 --public-host relay.example.org',
    })
  }
  if (options.hire !== undefined) throw new RopewalkError('bad-usage', 'A relay hires nobody: leave --hire out')
  if (options.admit !== undefined)
    throw new RopewalkError('bad-usage', 'A relay may let others in anyway: leave --admit out')
  return { name: parseName(name), publicHost, httpsPort: wholeNumber(httpsPort, 'port', 65_535) }
}

function wholeNumber(text: string, what: string, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new RopewalkError('bad-usage', `The ${what} is a whole number from 1 to ${most}, not “${text}”`)
}
