import { randomBytes } from 'node:crypto'
import { DEFAULT_IPV4_PREFIX, ipv4Of, type MeshAddress } from '@ropewalk/shared/addressing'
import { isRopewalkError } from '@ropewalk/shared/errors'
import {
  generateSigningKey,
  generateWireguardKeys,
  parseName,
  parseTag,
  type SigningKey,
} from '@ropewalk/shared/identity'
import {
  ADMISSION_LIFETIME_MS,
  type Bundle,
  foundNetwork,
  hashOfCertificate,
  type InviteOptions,
  inviteIdOf,
  type Network,
  openCertificate,
  openInvite,
  signAdmission,
  signCertificate,
  signInvite,
} from './index.ts'

// People, invites and admissions of a network of the tests, by the root key or by whoever.

export const NOW = 1_750_000_000_000
export const HOUR = 3_600_000
export const DAY = 24 * HOUR
export const root = generateSigningKey()

export function makeNetwork(name = 'demo', key = root): Network {
  const nextRootKey = generateSigningKey().publicKey
  return foundNetwork({ name: parseName(name), ipv4Prefix: DEFAULT_IPV4_PREFIX, root: key, nextRootKey, nowMs: NOW })
}

export function makeInvite(network: Network, change: Partial<InviteOptions> = {}, signer = root) {
  const key = generateSigningKey()
  const options = {
    id: inviteIdOf(randomBytes(16)),
    key: key.publicKey,
    tags: [parseTag('worker')],
    rights: [],
    uses: 1,
    notBeforeMs: NOW,
    notAfterMs: NOW + DAY,
  }
  return { key, invite: signInvite(network, { ...options, ...change }, signer) }
}

export interface Person {
  readonly node: SigningKey
  readonly wireguard: ReturnType<typeof generateWireguardKeys>
}
export const person = (): Person => ({ node: generateSigningKey(), wireguard: generateWireguardKeys() })

export function apply(
  network: Network,
  { key, invite }: ReturnType<typeof makeInvite>,
  who: Person,
  change: { name?: string; v4?: MeshAddress; tags?: string[] } = {},
): Bundle {
  const certificate = signCertificate(
    network,
    invite.body,
    {
      wireguardKey: who.wireguard.publicKey,
      name: parseName(change.name ?? 'worker-a'),
      tags: (change.tags ?? []).map(parseTag),
      v4: change.v4 ?? ipv4Of(network.ipv4Prefix, who.node.nodeId, 0),
    },
    { invite: key, node: who.node },
  )
  return { certificate: certificate.bytes, invite: invite.bytes }
}

/** An admission of any kind, by whoever. */
export function admit(
  network: Network,
  bundle: Bundle,
  by: SigningKey,
  change: { sinceMs?: number; admittedAtMs?: number; notAfterMs?: number; use?: number } = {},
): Bundle {
  const invite = openInvite(network, bundle.invite).body
  const certificate = openCertificate(network, invite, bundle.certificate)
  const admittedAtMs = change.admittedAtMs ?? NOW
  const dates = {
    use: 1,
    sinceMs: admittedAtMs,
    notAfterMs: admittedAtMs + ADMISSION_LIFETIME_MS,
    ...change,
    admittedAtMs,
  }
  const admission = signAdmission(
    network,
    { certificate: hashOfCertificate(certificate), invite: invite.id, ...dates },
    by,
  )
  return { ...bundle, admission: admission.bytes }
}

export function codeOf(run: () => unknown): unknown {
  try {
    run()
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}
