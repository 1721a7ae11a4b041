import { isRopewalkError } from '@ropewalk/shared/errors'
import { openState, revoke as revokeMember } from '../../state/index.ts'
import type { CommandSpec } from '../program.ts'

export const revoke: CommandSpec = {
  build: (command, run) =>
    command.argument('<peer>', 'name or node id; of an unused ticket, its name').action((peer: string) =>
      run(async (cli) => {
        const list = await revokeMember(await openState(cli.stateFolder), peer, Date.now())
        const told = await cli
          .peer()
          .then((local) => local.api.status())
          .then(
            () => true,
            (error: unknown) => {
              if (isRopewalkError(error, 'not-running')) return false
              throw error
            },
          )
        cli.print({ version: 1, revoked: peer, seq: list.seq, spread: told }, () => `${peer} is revoked.\n`)
        if (!told) cli.say('No peer runs on this folder: the network hears of it when one does (ropewalk up).')
      }),
    ),
}
