import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import { isRelay } from './discovery/index.ts'
import { engineFilter } from './engine-filter.ts'
import { readSshHostKeys } from './network/index.ts'
import type { Rooms } from './rooms.ts'
import { relaysOf } from './routes.ts'

/** A node keeps tunnels to this many relays. */
const RELAYS_HELD = 4
const SETTLE_MS = 20

/**
 * Keeps what depends on the members, the policy and the exposed services equal to them: the engine's filter, the tunnels'
 * relays, what this node says of itself, and what is kept on disk.
 */
export function followMembers(rooms: Rooms): Startable {
  const { discovery, device, tunnels, services, policy, runtime, state, logger } = rooms
  let filter = ''
  let relays = ''
  let settle: NodeJS.Timeout | undefined
  const undo: (() => void)[] = []

  const follow = () => {
    settle = undefined
    const next = engineFilter({
      policy: policy(),
      worker: discovery.self,
      exposed: services.list(),
      members: discovery.members(),
      grants: runtime.desk.list(),
    })
    const text = JSON.stringify(next)
    if (text !== filter) device.setFilter(next)
    filter = text
    const held = relaysOf(discovery).slice(0, RELAYS_HELD)
    const urls = held.map(({ url, nodeId }) => `${url}#${nodeId}`).join(' ')
    if (urls !== relays) tunnels.setRelays(held)
    relays = urls
  }
  const followSoon = () => {
    settle ??= setTimeout(follow, SETTLE_MS)
  }
  const tellServices = async () => {
    const list = services.list()
    const exposesSsh = list.some(({ name }) => name === 'ssh')
    discovery.publish({ services: list, sshHostKeys: exposesSsh ? await readSshHostKeys() : [] })
  }
  const keepServices = () => {
    state.services.write([...services.list()]).catch((error: unknown) => logger.error('services not kept', { error }))
  }
  return startable({
    async start() {
      undo.push(
        discovery.onChange((event) => {
          if (event.kind === 'connected') tunnels.relayReturned(event.nodeId)
          if (event.kind === 'updated' && isRelay(event.member)) tunnels.relayReturned(event.member.nodeId)
          followSoon()
        }),
        runtime.desk.onChange(follow),
        services.onChange(() => {
          follow()
          keepServices()
          void tellServices()
        }),
        state.watch((document) => {
          if (document === 'revocations') void takeRevocations(rooms)
          if (document === 'policy') void takePolicy(rooms)
        }),
      )
      follow()
      await tellServices()
    },
    stop() {
      clearTimeout(settle)
      for (const step of undo.splice(0)) step()
    },
  })
}

/** A command has written a newer list into the folder: it counts at once and is spread. */
async function takeRevocations({ state, discovery, logger }: Rooms): Promise<void> {
  try {
    const statement = await state.revocations.read()
    if (statement !== undefined && !sameBytes(statement, discovery.revocations()?.bytes))
      await discovery.revoke(statement)
  } catch (error) {
    logger.warn('revocations not taken in', { error })
  }
}

async function takePolicy({ state, discovery, logger }: Rooms): Promise<void> {
  try {
    const statement = await state.policy.read()
    if (statement !== undefined && !sameBytes(statement, discovery.policy()?.bytes))
      await discovery.setPolicy(statement)
  } catch (error) {
    logger.warn('policy not taken in', { error })
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0
}
