import { isRopewalkError } from '@ropewalk/shared/errors'
import { parseNodeId } from '@ropewalk/shared/identity'
import { openState, revoke as revokeMember } from '../../state/index.ts'
import type { CommandSpec } from '../program.ts'

export const revoke: CommandSpec = {
  build: (command, run) =>
    command.argument('<peer>', 'name or node id; of an unused ticket, its name').action((peer: string) =>
      run(async (cli) => {
        const running = await cli.peer().catch((error: unknown) => {
          if (isRopewalkError(error, 'not-running')) return undefined
          throw error
        })
        // a member that joined a moment ago is known to the running peer before it is in the folder
        const member = await running?.api.peer({ params: { peer } }).catch((error: unknown) => {
          if (isRopewalkError(error, 'not-running') || isRopewalkError(error, 'unknown-peer')) return undefined
          throw error
        })
        const nodeId = member === undefined ? undefined : parseNodeId(member.peer.nodeId)
        const list = await revokeMember(await openState(cli.stateFolder), peer, Date.now(), nodeId)
        const told = await running?.api.status().then(
          () => true,
          (error: unknown) => {
            if (isRopewalkError(error, 'not-running')) return false
            throw error
          },
        )
        cli.print({ version: 1, revoked: peer, seq: list.seq, spread: told === true }, () => `${peer} is revoked.\n`)
        if (told !== true) cli.say('No peer runs on this folder: the network hears of it when one does (ropewalk up).')
      }),
    ),
}
