import { randomBytes } from 'node:crypto'
import { DEFAULT_IPV4_PREFIX, ipv4Of, type Prefix } from '@ropewalk/shared/addressing'
import { RopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, generateWireguardKeys, type NodeName } from '@ropewalk/shared/identity'
import {
  ADMISSION_LIFETIME_MS,
  type Bundle,
  foundNetwork,
  hashOfCertificate,
  type Invite,
  inviteIdOf,
  type Network,
  openNetwork,
  type Right,
  signAdmission,
  signCertificate,
  signInvite,
} from '@ropewalk/shared/membership'
import type { Identity, RootKeys } from './contents.ts'
import type { State } from './state.ts'

/** The node's keys, made at the first call and then kept. */
export async function ensureIdentity(state: State): Promise<Identity> {
  return await state.identity.update(
    (held) => held ?? { nodeKey: generateSigningKey(), wireguardKeys: generateWireguardKeys() },
  )
}

/** The network of a state folder. @throws RopewalkError `state-missing` */
export async function requireNetwork(state: State): Promise<Network> {
  const statement = await state.network.read()
  if (statement === undefined) {
    throw new RopewalkError('state-missing', `${state.folder} holds no network yet`, {
      hint: 'join one with: ropewalk up --ticket-file FILE, or make one with: ropewalk network create NAME',
    })
  }
  return openNetwork(statement)
}

/** The root key of a state folder. @throws RopewalkError `missing-right` where the network was not made here */
export async function requireRoot(state: State): Promise<RootKeys> {
  const root = await state.root.read()
  if (root === undefined) {
    throw new RopewalkError('missing-right', `${state.folder} does not hold the network’s root key`, {
      hint: 'run this where the network was made (ropewalk network create)',
    })
  }
  return root
}

/** What `network create` is told. */
export interface CreateNetworkOptions {
  readonly name: NodeName
  readonly ipv4Prefix?: Prefix | undefined
  /** Wall clock, ms. */
  readonly nowMs: number
}

/** Makes a network: its root keys and its statement. @throws RopewalkError `conflict` when the folder holds one already */
export async function createNetwork(state: State, options: CreateNetworkOptions): Promise<Network> {
  const there = await state.network.read()
  if (there !== undefined) {
    throw new RopewalkError('conflict', `${state.folder} belongs to the network “${openNetwork(there).name}” already`, {
      hint: 'choose another folder with --state',
    })
  }
  await ensureIdentity(state)
  const keys = await state.root.update((held) => held ?? { root: generateSigningKey(), next: generateSigningKey() })
  const network = foundNetwork({
    name: options.name,
    ipv4Prefix: options.ipv4Prefix ?? DEFAULT_IPV4_PREFIX,
    root: keys.root,
    nextRootKey: keys.next.publicKey,
    nowMs: options.nowMs,
  })
  // last, so that a crash before leaves a folder in which it can be tried again
  const kept = await state.network.update((held) => held ?? network.bytes)
  return openNetwork(kept)
}

/**
 * Makes the root holder's own peer a member and its network's first admitter, admitted by the root itself. Does nothing
 * when the folder holds a membership. @throws RopewalkError `state-missing`, `missing-right`
 */
export async function ensureRootMembership(state: State, options: { name: NodeName; nowMs: number }): Promise<void> {
  const network = await requireNetwork(state)
  const membership = await state.membership.read()
  if (membership?.bundle !== undefined || membership?.application !== undefined) return
  const { root } = await requireRoot(state)
  const { bundle } = admitByRoot(network, await ensureIdentity(state), root, {
    ...options,
    tags: [],
    rights: ['admit', 'hire'],
  })
  await state.membership.update((held) => held ?? { bundle, waysIn: [], minRevocationSeq: 0 })
}

/** A member made by the root without a ticket. */
export interface RootAdmission {
  readonly name: NodeName
  readonly tags: Invite['tags']
  readonly rights: readonly Right[]
  readonly nowMs: number
  /** Until when a ticket made of it is good; a day unless said. */
  readonly notAfterMs?: number
}

/** Admits an identity by the root: invite, certificate and admission in one go. */
export function admitByRoot(
  network: Network,
  identity: Identity,
  root: RootKeys['root'],
  options: RootAdmission,
): { readonly bundle: Bundle; readonly invite: Invite } {
  const { name, tags, rights, nowMs } = options
  const inviteKey = generateSigningKey()
  const invite = signInvite(
    network,
    {
      id: inviteIdOf(randomBytes(16)),
      key: inviteKey.publicKey,
      tags,
      name,
      rights,
      uses: 1,
      notBeforeMs: nowMs,
      notAfterMs: options.notAfterMs ?? nowMs + 24 * 3_600_000,
    },
    root,
  )
  const { nodeKey, wireguardKeys } = identity
  const v4 = ipv4Of(network.ipv4Prefix, nodeKey.nodeId, 0)
  const wish = { wireguardKey: wireguardKeys.publicKey, name, tags, v4 }
  const certificate = signCertificate(network, invite.body, wish, { invite: inviteKey, node: nodeKey })
  const admission = signAdmission(
    network,
    {
      certificate: hashOfCertificate(certificate),
      invite: invite.body.id,
      use: 1,
      sinceMs: nowMs,
      admittedAtMs: nowMs,
      notAfterMs: nowMs + ADMISSION_LIFETIME_MS,
    },
    root,
  )
  const bundle = { certificate: certificate.bytes, invite: invite.bytes, admission: admission.bytes }
  return { bundle, invite: invite.body }
}
