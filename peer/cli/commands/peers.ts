import type { Peer } from '@ropewalk/shared/api'
import type { LocalClient } from '../../client/index.ts'
import { everyPage } from '../every-page.ts'
import type { CommandSpec } from '../program.ts'
import { bytesText, millisText } from '../text.ts'

/** Every member that the peer knows, page by page. */
export async function allPeers({ api }: LocalClient): Promise<Peer[]> {
  const found = await everyPage(async (cursor) => {
    const { peers: items, nextCursor } = await api.peers({ query: { limit: 1000, cursor } })
    return { items, nextCursor }
  })
  return found.sort((a, b) => a.name.localeCompare(b.name))
}

export const peers: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const found = await allPeers(await cli.peer())
        cli.print({ version: 1, peers: found }, () =>
          found.length === 0
            ? 'No other members yet.\n'
            : cli.table(
                ['NAME', 'STATE', 'RTT', 'ADDRESSES', 'SERVICES', 'SENT', 'RECEIVED'],
                found.map((peer) => [
                  peer.name,
                  peer.state,
                  millisText(peer.rttMs),
                  peer.addresses.join(' '),
                  peer.services.map(({ name, port }) => `${name}=${port}`).join(' '),
                  bytesText(peer.txBytes),
                  bytesText(peer.rxBytes),
                ]),
              ),
        )
      }),
    ),
}
