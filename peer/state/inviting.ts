import { randomBytes } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, generateWireguardKeys, type NodeName, type Tag } from '@ropewalk/shared/identity'
import {
  formatTicket,
  type Invite,
  inviteIdOf,
  openRevocations,
  parseRelayUrl,
  type Right,
  refuseStockTag,
  signInvite,
} from '@ropewalk/shared/membership'
import type { KnownInvite } from './contents.ts'
import { admitByRoot, requireNetwork, requireRoot } from './founding.ts'
import type { State } from './state.ts'
import { noWayIn, waysInFor } from './ways-in.ts'

/** What every kind of invite is told. */
export interface InviteSettings {
  readonly tags?: readonly Tag[]
  /** Relay URLs (with or without `#NODE_ID`) and multiaddrs; those this folder knows unless said. */
  readonly via?: readonly string[]
  /** How long the ticket is good, ms; 24 hours unless said. */
  readonly expiresInMs?: number
  /** Wall clock, ms. */
  readonly nowMs: number
}

/** What a member's invite is told. */
export interface CreateInviteOptions extends InviteSettings {
  readonly name?: NodeName | undefined
  readonly uses?: number
  readonly rights?: readonly Right[]
}

/** What a relay's invite is told. */
export interface CreateRelayInviteOptions extends InviteSettings {
  readonly name: NodeName
  /** Host name or IP address under which the public reaches it. */
  readonly publicHost: string
  /** TCP port; 443 unless said. */
  readonly httpsPort?: number
}

const DAY_MS = 24 * 3_600_000

/** Makes a ticket: one line of text. @throws RopewalkError `missing-right`, `state-missing`, `bad-input`, `conflict` (no way in is known) */
export async function createInvite(state: State, options: CreateInviteOptions): Promise<string> {
  refuseStockTag(options.tags ?? [])
  const network = await requireNetwork(state)
  const { root } = await requireRoot(state)
  const waysIn = await waysInFor(state, options.via)
  if (waysIn.length === 0) throw noWayIn()
  const inviteKey = generateSigningKey()
  const invite = signInvite(
    network,
    {
      id: inviteIdOf(randomBytes(16)),
      key: inviteKey.publicKey,
      tags: options.tags ?? [],
      name: options.name,
      rights: options.rights ?? [],
      uses: options.uses ?? 1,
      notBeforeMs: options.nowMs,
      notAfterMs: options.nowMs + (options.expiresInMs ?? DAY_MS),
    },
    root,
  )
  const minRevocationSeq = await revocationSeq(state)
  const ticket = formatTicket({ kind: 'member', network, invite, waysIn, minRevocationSeq, inviteKey })
  await remember(state, { ...knownOf(invite.body), createdAtMs: options.nowMs })
  return ticket
}

/** Makes a relay's ticket: its key is in it and admitted. @throws RopewalkError `missing-right`, `state-missing`, `bad-input` */
export async function createRelayInvite(state: State, options: CreateRelayInviteOptions): Promise<string> {
  refuseStockTag(options.tags ?? [])
  const network = await requireNetwork(state)
  const { root } = await requireRoot(state)
  const url = publicUrl(options.publicHost, options.httpsPort ?? 443)
  const waysIn = await waysInFor(state, options.via)
  const identity = { nodeKey: generateSigningKey(), wireguardKeys: generateWireguardKeys() }
  const { bundle, invite } = admitByRoot(network, identity, root, {
    name: options.name,
    tags: options.tags ?? [],
    rights: ['relay'],
    nowMs: options.nowMs,
    notAfterMs: options.nowMs + (options.expiresInMs ?? DAY_MS),
  })
  const common = { network, waysIn, minRevocationSeq: await revocationSeq(state) }
  const ticket = formatTicket({
    ...common,
    ...identity,
    kind: 'relay',
    invite: { body: invite, bytes: bundle.invite },
    bundle,
    url,
  })
  const relay = { nodeId: identity.nodeKey.nodeId, url }
  await remember(state, { ...knownOf(invite), createdAtMs: options.nowMs, relay })
  return ticket
}

async function remember(state: State, invite: KnownInvite): Promise<void> {
  await state.invites.update((held = []) => [...held, invite])
}

function knownOf({ id, name, tags, rights, uses, notAfterMs }: Invite): Omit<KnownInvite, 'createdAtMs'> {
  return { id, name, tags: [...tags], rights: [...rights], uses, notAfterMs }
}

async function revocationSeq(state: State): Promise<number> {
  const raw = await state.revocations.read()
  return raw === undefined ? 0 : openRevocations(await requireNetwork(state), raw).seq
}

function publicUrl(host: string, port: number): string {
  const bracketed = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  try {
    if (!/^[\w.:[\]-]+$/.test(host)) throw new RopewalkError('bad-input')
    return parseRelayUrl(`https://${bracketed}:${port}/`)
  } catch (cause) {
    throw new RopewalkError('bad-input', `“${host.slice(0, 80)}” is not a host name or IP address`, { cause })
  }
}
