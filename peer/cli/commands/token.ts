import { RopewalkError } from '@ropewalk/shared/errors'
import { createToken, openState, revokeToken } from '../../state/index.ts'
import { parseDuration } from '../duration.ts'
import type { CommandSpec } from '../program.ts'

const SCOPES = ['read', 'write', 'metrics'] as const
const collect = (value: string, before: string[]): string[] => [...before, value]

export const tokenCreate: CommandSpec = {
  build: (command, run) =>
    command
      .option('--scope <scope>', 'read, write or metrics; may be repeated', collect, [])
      .option('--expires <duration>', 'how long it is good', '24h')
      .option('--note <text>', 'what it is for')
      .action((options: { scope: string[]; expires: string; note?: string }) =>
        run(async (cli) => {
          const scopes = options.scope.length === 0 ? ['read'] : options.scope
          const unknown = scopes.find((scope) => !(SCOPES as readonly string[]).includes(scope))
          if (unknown !== undefined)
            throw new RopewalkError('bad-usage', `--scope is ${SCOPES.join(', ')}, not “${unknown}”`)
          const token = await createToken(await openState(cli.stateFolder), {
            scopes,
            expiresInMs: parseDuration(options.expires),
            nowMs: Date.now(),
            ...(options.note === undefined ? {} : { note: options.note }),
          })
          cli.print({ version: 1, token }, () => `${token}\n`)
        }),
      ),
}

export const tokenList: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const tokens = (await (await openState(cli.stateFolder)).tokens.read()) ?? []
        const nowMs = Date.now()
        cli.print({ version: 1, tokens }, () =>
          tokens.length === 0
            ? 'No token was made here.\n'
            : cli.table(
                ['ID', 'SCOPES', 'STATE', 'UNTIL', 'NOTE'],
                tokens.map(({ id, scopes, revoked, notAfterMs, note }) => [
                  id,
                  scopes.join(' '),
                  revoked ? 'revoked' : notAfterMs < nowMs ? 'expired' : 'good',
                  new Date(notAfterMs).toISOString(),
                  note,
                ]),
              ),
        )
      }),
    ),
}

export const tokenRevoke: CommandSpec = {
  build: (command, run) =>
    command.argument('<id>', 'as token list shows it').action((id: string) =>
      run(async (cli) => {
        const state = await openState(cli.stateFolder)
        const known = ((await state.tokens.read()) ?? []).find((token) => token.id === id)
        if (known === undefined)
          throw new RopewalkError('not-found', `No token ${id} was made here`, { hint: 'ropewalk token list' })
        await revokeToken(state, known.id, Date.now())
        cli.print({ version: 1, revoked: id }, () => `Token ${id} is good no more.\n`)
      }),
    ),
}
