import type { MeshAddresses } from '@ropewalk/shared/addressing'
import type { NodeId, NodeName, WireguardKey } from '@ropewalk/shared/identity'
import type { Candidate, NatClass, NodeRecord } from '@ropewalk/shared/records'

/** A member as connectivity looks at it: proven, with what it says of itself. */
export interface MeshMember {
  readonly nodeId: NodeId
  readonly name: NodeName
  readonly wireguardKey: WireguardKey
  readonly addresses: MeshAddresses
  readonly state: 'online' | 'silent' | 'gone' | 'revoked'
  readonly record?: NodeRecord | undefined
}

/** What a node says of its reachability in its record. */
export interface ReachabilityPatch {
  readonly candidates?: readonly Candidate[]
  readonly nat?: NatClass
  readonly relays?: readonly NodeId[]
}

/** The part of discovery that connectivity stands on. */
export interface MeshDirectory {
  readonly self: NodeId
  /** The other members; this node is not among them. */
  members(): readonly MeshMember[]
  member(idOrName: string): MeshMember | undefined
  onChange(listener: () => void): () => void
  /** Says it in our record, soon. */
  publish(patch: ReachabilityPatch): void
  /** Whether a libp2p connection to that member is open. */
  connectedTo(node: NodeId): boolean
  request(
    node: NodeId,
    protocol: string,
    message: Uint8Array,
    options: { readonly signal: AbortSignal; readonly maxBytes: number },
  ): Promise<Uint8Array>
  handle(
    protocol: string,
    options: { readonly maxBytes: number },
    handler: (message: Uint8Array, from: MeshMember) => Promise<Uint8Array>,
  ): () => void
}
