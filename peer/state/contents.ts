import { type MeshAddress, parseAddress } from '@ropewalk/shared/addressing'
import { bytes, decodeWith, encodeWith, field, list, maybe, struct, uint } from '@ropewalk/shared/codec'
import {
  type NodeId,
  type NodeName,
  parseName,
  parseNodeId,
  parseTag,
  parseWireguardKey,
  type SigningKey,
  signingKeyFromSeed,
  type Tag,
  type WireguardKey,
  type WireguardKeys,
  wireguardKeysFromPrivate,
} from '@ropewalk/shared/identity'
import {
  type Bundle,
  type CertificateHash,
  type Claim,
  decodeBundle,
  encodeBundle,
  formatWayIn,
  type InviteId,
  MAX_BUNDLE_BYTES,
  MAX_MEMBERS,
  parseWayIn,
  type WayIn,
} from '@ropewalk/shared/membership'
import { serviceNameSchema } from '@ropewalk/shared/policy'
import { MAX_RECORD_BYTES } from '@ropewalk/shared/records'
import { type LeaseId, TIERS } from '@ropewalk/shared/runtime'
import { z } from 'zod'
import type { RememberedMember } from '../discovery/index.ts'
import { type Format, jsonFormat } from './document.ts'

/** What this node is, for as long as it lives. */
export interface Identity {
  readonly nodeKey: SigningKey
  readonly wireguardKeys: WireguardKeys
}

/** The network's root key and its successor; only where the network was made. */
export interface RootKeys {
  readonly root: SigningKey
  readonly next: SigningKey
}

/** An application that no admitter has answered yet. */
export interface Application {
  readonly bundle: Bundle
  readonly inviteKey: SigningKey
  /** Which of the 16 IPv4 addresses of its key it asks for. */
  readonly attempt: number
}

/** What this node holds of its membership. */
export interface OwnMembership {
  /** The admitted bundle. */
  readonly bundle?: Bundle | undefined
  readonly application?: Application | undefined
  readonly waysIn: readonly WayIn[]
  readonly minRevocationSeq: number
  /** Its public address, if it is a relay. */
  readonly relayUrl?: string | undefined
}

const binary = z.codec(z.base64(), z.custom<Uint8Array>(), {
  decode: (value) => new Uint8Array(Buffer.from(value, 'base64')),
  encode: (value) => Buffer.from(value).toString('base64'),
})
const signingKey = z.codec(binary, z.custom<SigningKey>(), {
  decode: (seed) => signingKeyFromSeed(seed),
  encode: (key) => key.exportSeed(),
})
const wireguardKeys = z.codec(binary, z.custom<WireguardKeys>(), {
  decode: (key) => wireguardKeysFromPrivate(key),
  encode: (keys) => keys.exportPrivateKey(),
})
const bundle = z.codec(binary, z.custom<Bundle>(), {
  decode: (raw) => decodeBundle(raw),
  encode: (value) => encodeBundle(value),
})
const wayIn = z.codec(z.string(), z.custom<WayIn>(), { decode: parseWayIn, encode: formatWayIn })
const name = z.codec(z.string(), z.custom<NodeName>(), { decode: parseName, encode: String })
const tag = z.codec(z.string(), z.custom<Tag>(), { decode: parseTag, encode: String })
const nodeId = z.codec(z.string(), z.custom<NodeId>(), { decode: parseNodeId, encode: String })
const wireguardKey = z.codec(z.string(), z.custom<WireguardKey>(), { decode: parseWireguardKey, encode: String })
const address = z.codec(z.string(), z.custom<MeshAddress>(), { decode: parseAddress, encode: String })
const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`))
const inviteId = z.codec(hex(32), z.custom<InviteId>(), { decode: (text) => text as InviteId, encode: String })
const certificate = z.codec(hex(64), z.custom<CertificateHash>(), {
  decode: (text) => text as CertificateHash,
  encode: String,
})
const time = z.number().int().nonnegative()
const port = z.number().int().min(1).max(65_535)

export const identityFormat: Format<Identity> = jsonFormat(z.strictObject({ nodeKey: signingKey, wireguardKeys }))

export const rootFormat: Format<RootKeys> = jsonFormat(z.strictObject({ root: signingKey, next: signingKey }))

export const membershipFormat: Format<OwnMembership> = jsonFormat(
  z.strictObject({
    bundle: bundle.optional(),
    application: z.strictObject({ bundle, inviteKey: signingKey, attempt: z.number().int().min(0).max(15) }).optional(),
    waysIn: z.array(wayIn),
    minRevocationSeq: time,
    relayUrl: z.url().optional(),
  }),
)

const invite = z.strictObject({
  id: inviteId,
  name: name.optional(),
  tags: z.array(tag),
  rights: z.array(z.enum(['relay', 'admit', 'hire'])),
  uses: z.number().int().positive(),
  createdAtMs: time,
  notAfterMs: time,
  /** The relay it was made for: known before it runs. */
  relay: z.strictObject({ nodeId, url: z.url() }).optional(),
})

/** An invite made here; its secret is in the ticket only. */
export type KnownInvite = z.output<typeof invite>

export const invitesFormat: Format<readonly KnownInvite[]> = jsonFormat(z.array(invite).readonly())

const claim = z.strictObject({
  nodeId,
  certificate,
  name,
  v4: address,
  wireguardKey,
  invite: inviteId,
  use: z.number().int().positive(),
  sinceMs: time,
})

export const claimsFormat: Format<readonly Claim[]> = jsonFormat(z.array(claim).readonly())

const exposed = z.strictObject({
  name: serviceNameSchema,
  /** Port on loopback. */
  port,
  protocol: z.enum(['tcp', 'udp']),
  http: z.boolean(),
})

/** A service that this node exposes. */
export type ExposedService = z.output<typeof exposed>

export const servicesFormat: Format<readonly ExposedService[]> = jsonFormat(z.array(exposed).readonly())

const ports = z.record(z.string(), port)

/** Ports by purpose (`listen`, …), chosen once and then kept. */
export type Ports = Readonly<z.output<typeof ports>>

export const portsFormat: Format<Ports> = jsonFormat(ports)

const token = z.strictObject({
  id: inviteId,
  scopes: z.array(z.string()),
  note: z.string().optional(),
  issuedAtMs: time,
  notAfterMs: time,
  revoked: z.boolean(),
})

/** An API token made here; its text was shown once and is not kept. */
export type KnownToken = z.output<typeof token>

export const tokensFormat: Format<readonly KnownToken[]> = jsonFormat(z.array(token).readonly())

const leaseId = z.codec(hex(32), z.custom<LeaseId>(), { decode: (text) => text as LeaseId, encode: String })
const spentLease = z.strictObject({ id: leaseId, notAfterMs: time })

/** A lease that this worker took once. */
export type SpentLease = z.output<typeof spentLease>

export const spentLeasesFormat: Format<readonly SpentLease[]> = jsonFormat(z.array(spentLease).readonly())

const owedRelease = z.strictObject({ nodeId, lease: leaseId, notAfterMs: time })

/** A lease that is over here and whose worker does not know it yet. */
export type OwedRelease = z.output<typeof owedRelease>

export const owedReleasesFormat: Format<readonly OwedRelease[]> = jsonFormat(z.array(owedRelease).readonly())

const clusterWorker = z.strictObject({
  nodeId,
  lease: leaseId,
  role: z.enum(['head', 'worker']),
  /** First port of its block there. */
  ports: z.number().int(),
  seq: z.number().int().nonnegative(),
  devices: z.strictObject({ cpus: z.number().int(), memoryMiB: z.number().int(), gpus: z.number().int() }),
})

const cluster = z.strictObject({
  name: z.string(),
  /** The cluster's secret, for Ray. */
  token: z.string(),
  createdAtMs: time,
  notAfterMs: time,
  /** What is asked of each worker that may take another's place. */
  wish: z.strictObject({
    tier: z.enum(TIERS).optional(),
    gpus: z.number().int().nonnegative().optional(),
    cpus: z.number().int().positive().optional(),
    memoryMiB: z.number().int().positive().optional(),
  }),
  /** What is wanted of it: that it lives, that it ends, or nothing any more, because it never came up. */
  wanted: z.enum(['life', 'end', 'nothing']),
  /** How many workers it is to have; fewer are in it while nobody fits. */
  size: z.number().int().positive(),
  workers: z.array(clusterWorker),
  /** What happened to it, the newest last. */
  events: z.array(z.strictObject({ atMs: time, text: z.string() })),
})

/** A cluster that was hired here. */
export type HiredCluster = z.output<typeof cluster>

export const clustersFormat: Format<readonly HiredCluster[]> = jsonFormat(z.array(cluster).readonly())

const remembered = list(
  struct({
    bundle: field(1, bytes(1, MAX_BUNDLE_BYTES)),
    record: maybe(2, bytes(1, MAX_RECORD_BYTES)),
    lastHeardMs: field(3, uint()),
  }),
  MAX_MEMBERS,
)
const MAX_MEMBERS_BYTES = MAX_MEMBERS * (MAX_BUNDLE_BYTES + MAX_RECORD_BYTES + 32)

/** CBOR, as there may be ten thousand. */
export const membersFormat: Format<readonly RememberedMember[]> = {
  encode: (members) =>
    encodeWith(
      remembered,
      members.map((one) => ({ ...one, bundle: encodeBundle(one.bundle) })),
    ),
  decode: (raw) =>
    decodeWith(remembered, raw, MAX_MEMBERS_BYTES).map((one) => ({ ...one, bundle: decodeBundle(one.bundle) })),
}
