import type { MeshAddresses } from '@ropewalk/shared/addressing'
import type { NodeId, NodeName, SigningKey, Tag, WireguardKey, WireguardKeys } from '@ropewalk/shared/identity'
import type {
  Admission,
  Bundle,
  CertificateHash,
  Network,
  PolicyStatement,
  Revocations,
  Right,
  WayIn,
} from '@ropewalk/shared/membership'
import type { Link, NodeRecord, Report } from '@ropewalk/shared/records'

/** What is known of a member's life. `silent`: nothing heard for 13 s where it should have been, or its record ran out. */
export type MemberState = 'online' | 'silent' | 'gone' | 'revoked'

/** A member as this node knows it; a new object whenever something changes. */
export interface Member {
  readonly nodeId: NodeId
  readonly name: NodeName
  readonly tags: readonly Tag[]
  readonly rights: readonly Right[]
  readonly wireguardKey: WireguardKey
  readonly addresses: MeshAddresses
  readonly certificate: CertificateHash
  readonly admission: Admission
  /** Its verified statements, as it shows them. */
  readonly bundle: Bundle
  /** The newest record it signed, if one is known. */
  readonly record?: NodeRecord | undefined
  /** When something signed by it or sent by it was last heard, by our wall clock in ms; 0 for never. */
  readonly lastHeardMs: number
  readonly state: MemberState
}

/** Whether a member is a relay: it says so, and it was let in as one. */
export function isRelay({ rights, record }: Pick<Member, 'rights' | 'record'>): boolean {
  return rights.includes('relay') && record?.relay !== undefined
}

/** What happened, one at a time and after the fact: `members()` shows it already. */
export type DiscoveryEvent =
  | { readonly kind: 'joined'; readonly member: Member }
  /** Another record, admission or certificate. */
  | { readonly kind: 'updated'; readonly member: Member; readonly before: Member }
  | { readonly kind: 'state'; readonly member: Member; readonly before: MemberState }
  /** Cut it off now: engine, sessions, streams. */
  | { readonly kind: 'revoked'; readonly member: Member }
  /** Its certificate lost against another node's earlier one, or ran out long ago. */
  | { readonly kind: 'left'; readonly member: Member }
  | { readonly kind: 'connected'; readonly nodeId: NodeId }
  | { readonly kind: 'disconnected'; readonly nodeId: NodeId }
  | { readonly kind: 'revocations'; readonly revocations: Revocations }
  | { readonly kind: 'policy'; readonly policy: PolicyStatement }
  /** Something a person should know; shown by `status` and `doctor`. */
  | { readonly kind: 'warning'; readonly code: string; readonly message: string; readonly hint?: string | undefined }

/** What a node may change in its own record; what is left out stays. */
export type RecordPatch = Partial<
  Pick<NodeRecord, 'candidates' | 'nat' | 'relays' | 'services' | 'sshHostKeys' | 'routes' | 'relay' | 'offer'>
>

/** Limits of one request. */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
  /** Most bytes of the answer; 64 KiB unless said. */
  readonly maxBytes?: number
  /** Until the whole answer is there, dialling included; 5,000 ms unless said. */
  readonly timeoutMs?: number
}

/** Answers one request. What it throws resets the stream; a RopewalkError reaches the caller with its code. */
export type RequestHandler = (request: Uint8Array, from: Member) => Promise<Uint8Array> | Uint8Array

/** Ends a subscription. */
export type Unsubscribe = () => void

/** Membership, records and libp2p links of this node. All callers go through it: nobody else knows libp2p. */
export interface Discovery {
  /** This node as a member. */
  readonly self: Member
  readonly network: Network
  /** All members but this one, the revoked left out. */
  members(): readonly Member[]
  /**
   * A member by node id, name, `name.<network>.internal` or mesh address; this node too. The text of a node id is that
   * node or nobody, never somebody's name.
   */
  member(idOrName: string): Member | undefined
  /** Hears every event from now on. A listener that throws is logged and stays. */
  onChange(listener: (event: DiscoveryEvent) => void): Unsubscribe
  /**
   * Verifies a bundle that somebody showed elsewhere and takes it in as if it had come by sync. Whose it is stands in the
   * answer. @throws RopewalkError with the reason when it makes nobody a member now
   */
  accept(bundle: Uint8Array): Member
  /** Changes the own record and spreads it, 200 ms after the last call. */
  publish(patch: RecordPatch): void
  /** Asks a member over libp2p, dialling it where no link exists. @throws RopewalkError with the other end's code, `unreachable`, `timeout`, `too-large`, `unknown-peer` */
  request(to: NodeId, protocol: string, request: Uint8Array, options?: RequestOptions): Promise<Uint8Array>
  /** Answers requests under a protocol name; the asker's identity is proven. One handler a protocol. */
  handle(protocol: string, options: { readonly maxBytes: number }, handler: RequestHandler): Unsubscribe
  /** Brings ≤ 4 KiB to a member: over a link, else sealed through common neighbours (≤ 3 hops). Says nothing about arrival. @throws RopewalkError `unreachable` */
  signal(to: NodeId, content: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Hears what {@link signal} brought. */
  onSignal(listener: (content: Uint8Array, from: Member) => void): Unsubscribe
  /** Tells every connected relay about the own links; the newest report waits for relays that come later. */
  sendReport(links: readonly Link[]): void
  /** Hears reports of others (a relay does), newest seq of each node only. */
  onReport(listener: (report: Report, from: Member) => void): Unsubscribe
  /** Takes in a list that the root signed, spreads it, cuts whoever is on it. @throws RopewalkError `stale-statement`, … */
  revoke(statement: Uint8Array): Promise<Revocations>
  /** The revocation list that counts here. */
  revocations(): Revocations | undefined
  /** Takes in a policy that the root signed and spreads it. @throws RopewalkError `stale-statement`, … */
  setPolicy(statement: Uint8Array): Promise<PolicyStatement>
  /** The policy that counts here; none means the default. */
  policy(): PolicyStatement | undefined
  /** Whether a libp2p link to the member is up. */
  connectedTo(nodeId: NodeId): boolean
  /** The smoothed libp2p round trip to a linked member in ms. */
  rttMs(nodeId: NodeId): number | undefined
  /** Multiaddrs this node listens on, with its id. */
  listenAddresses(): readonly string[]
  /** The body for `GET /.well-known/ropewalk`: own signed record and bundle. */
  wellKnown(): WellKnown
}

/** `GET /.well-known/ropewalk`: binary fields are base64url. */
export interface WellKnown {
  readonly version: 1
  readonly nodeId: NodeId
  readonly record: string
  readonly bundle: string
}

/** Fetches a small document. The caller does not trust it: what it holds is signed. @throws on status, size and time */
export type Fetcher = (
  url: string,
  options: { readonly signal: AbortSignal; readonly maxBytes: number },
) => Promise<Uint8Array>

/** How this node takes part. */
export interface DiscoveryOptions {
  readonly network: Network
  readonly nodeKey: SigningKey
  readonly wireguardKeys: WireguardKeys
  /** Own bundle; without an admission `start` asks an admitter first. */
  readonly bundle: Bundle
  /** Where to knock when no known member answers. */
  readonly waysIn: readonly WayIn[]
  /** A revocation list with a lower seq is out of date. */
  readonly minRevocationSeq?: number
  /** Local addresses for libp2p over TCP; port 0 takes a free one. */
  readonly listen: readonly { readonly address: string; readonly port: number }[]
  /** Multiaddrs to announce beside the own interfaces' (a relay's public host). */
  readonly announce?: readonly string[]
  /** Its public front, if this is a relay. */
  readonly relay?: NodeRecord['relay']
  /** Looks for members on the local network; on unless said. */
  readonly mdns?: boolean
  /** How long `start` looks for an admitter, in ms; 60,000 unless said, 0 for ever. */
  readonly joinTimeoutMs?: number
}
