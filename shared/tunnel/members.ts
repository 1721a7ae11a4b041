import type { NodeId } from '../identity/index.ts'

/** A verified member as tunnels look at it. */
export interface TunnelMember {
  readonly nodeId: NodeId
  readonly name: string
  readonly tags: readonly string[]
  readonly revoked: boolean
}

/** What both ends of a tunnel need of the membership; every answer is verified by this node itself. */
export interface TunnelMembers {
  /** This node's own certificate bundle. */
  bundle(): Uint8Array
  /** A member by node id; `undefined` for strangers. */
  member(nodeId: NodeId): TunnelMember | undefined
  /** The member, this node too, whose mesh address that is; `undefined` for all other addresses. */
  at(address: string): TunnelMember | undefined
  /**
   * Verifies a bundle that somebody shows and takes it in. Whose it is stands in the answer: the caller compares it
   * with the key that was proven.
   * @throws RopewalkError with the reason when it makes nobody a member now
   */
  accept(bundle: Uint8Array): Promise<TunnelMember>
  /** Calls back after any change of members, revocations or policy; gives the way to stop it. */
  onChange(listener: () => void): () => void
}
