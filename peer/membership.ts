import { randomInt } from 'node:crypto'
import { hostname } from 'node:os'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type NodeName, parseName } from '@ropewalk/shared/identity'
import type { Bundle, Network, WayIn } from '@ropewalk/shared/membership'
import type { Service } from '@ropewalk/shared/policy'
import type { PeerOptions } from './options.ts'
import {
  acceptTicket,
  ensureIdentity,
  ensureRootMembership,
  type Identity,
  type Lock,
  openState,
  requireNetwork,
  type State,
  waysInFor,
} from './state/index.ts'

/** Outside the ranges that systems give out by themselves at the low end, inside what firewalls let through. */
const LISTEN_PORTS = { from: 20_000, to: 32_000 } as const

/** What a start finds or makes in the state folder before anything is spoken to. */
export interface Membership {
  readonly state: State
  readonly lock: Lock
  readonly network: Network
  readonly identity: Identity
  /** With an admission, or the application of a ticket. */
  readonly bundle: Bundle
  readonly waysIn: readonly WayIn[]
  readonly minRevocationSeq: number
  readonly exposed: readonly Service[]
  readonly listenPort: number
  readonly listen: readonly { readonly address: string; readonly port: number }[]
}

/**
 * Opens the folder, takes its lock, takes in the ticket if one is given, and settles what is kept: name, ports, services.
 * @throws RopewalkError `state-locked`, `state-missing` with what to do, and as `acceptTicket`
 */
export async function prepareMembership(options: PeerOptions, nowMs: number): Promise<Membership> {
  const state = await openState(options.stateFolder)
  const lock = await state.lockForPeer()
  try {
    const name = options.name ?? machineName()
    if (options.ticket !== undefined) await acceptTicket(state, options.ticket, { name, nowMs })
    const network = await requireNetwork(state)
    const identity = await ensureIdentity(state)
    if ((await state.root.read()) !== undefined) await ensureRootMembership(state, { name, nowMs })
    const held = await state.membership.read()
    const bundle = held?.application?.bundle ?? held?.bundle
    if (held === undefined || bundle === undefined) {
      throw new RopewalkError('state-missing', `${options.stateFolder} holds no membership of ${network.name}`, {
        hint: 'ropewalk up --ticket-file FILE, with a ticket from: ropewalk invite',
      })
    }
    const listenPort = await keepListenPort(state, options.listenPort)
    const exposed = await keepServices(state, options.expose)
    const addresses =
      options.interfaces?.every((one) => one === 'lo') === true ? ['127.0.0.1', '::1'] : ['0.0.0.0', '::']
    const listen = addresses.map((address) => ({ address, port: listenPort }))
    // beside the ticket's: relays that tickets were made for here, and whom this node has met
    const waysIn = [...held.waysIn, ...(await waysInFor(state, undefined))]
    const { minRevocationSeq } = held
    return { state, lock, network, identity, bundle, waysIn, minRevocationSeq, exposed, listenPort, listen }
  } catch (error) {
    lock[Symbol.dispose]()
    throw error
  }
}

/** This machine's name as a member's: its first label, in lower case. */
export function machineName(): NodeName {
  const label =
    hostname()
      .split('.')[0]
      ?.toLowerCase()
      .replaceAll(/[^a-z0-9-]/g, '-') ?? ''
  return parseName(label.replaceAll(/^-+|-+$/g, '').slice(0, 63) || 'node')
}

async function keepListenPort(state: State, wanted: number | undefined): Promise<number> {
  const ports = await state.ports.update((held = {}) => ({
    ...held,
    listen: wanted ?? held.listen ?? randomInt(LISTEN_PORTS.from, LISTEN_PORTS.to),
  }))
  return ports.listen ?? 0
}

async function keepServices(state: State, added: readonly Service[]): Promise<readonly Service[]> {
  const names = new Set(added.map(({ name }) => name))
  return await state.services.update((held = []) => [...held.filter(({ name }) => !names.has(name)), ...added])
}
