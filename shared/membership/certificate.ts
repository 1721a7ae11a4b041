import { ipv6Of, type MeshAddress, mayHoldIpv4 } from '@ropewalk/shared/addressing'
import { field, name, networkId, nodeId, struct, type TypeOf, wireguardKey } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type NodeName, publicKeyOf, type SigningKey, type Tag, type WireguardKey } from '@ropewalk/shared/identity'
import { type Statement, statementHash, statementKind } from '@ropewalk/shared/statement'
import type { Invite } from './invite.ts'
import { checkSameNetwork, type Network } from './network.ts'
import { address4, address6, type CertificateHash, certificateHashOf, inviteId, tags } from './terms.ts'

const body = struct({
  network: field(1, networkId),
  nodeId: field(2, nodeId),
  wireguardKey: field(3, wireguardKey),
  name: field(4, name),
  tags: field(5, tags),
  v6: field(6, address6),
  v4: field(7, address4),
  invite: field(8, inviteId),
})

/** Who a node is on this network. The joiner makes it; it counts only with an admission, so it carries no date. */
export type Certificate = TypeOf<typeof body>

// two signatures: the invite's key gives the right, the node's key shows that the node agrees
const kind = statementKind<Certificate>({ kind: 'certificate', codec: body, maxBytes: 1_024, signatures: 2 })

/** What a joiner puts into its certificate. */
export interface CertificateOptions {
  readonly wireguardKey: WireguardKey
  readonly name: NodeName
  readonly tags: readonly Tag[]
  readonly v4: MeshAddress
}

/** Makes a certificate out of an invite. @throws RopewalkError as {@link checkCertificate} */
export function signCertificate(
  network: Network,
  invite: Invite,
  options: CertificateOptions,
  keys: { readonly invite: SigningKey; readonly node: SigningKey },
): Statement<Certificate> {
  const { nodeId: id } = keys.node
  const certificate = { ...options, network: network.id, nodeId: id, v6: ipv6Of(network.id, id), invite: invite.id }
  checkCertificate(network, invite, certificate)
  return kind.sign(certificate, keys.invite, keys.node)
}

/**
 * Opens a certificate and checks it against its invite. @throws RopewalkError `bad-statement`, `bad-signature`,
 * `wrong-network`, `missing-right` (tags or name beyond the invite), `address-taken` (addresses its key may not hold)
 */
export function openCertificate(network: Network, invite: Invite, raw: Uint8Array): Statement<Certificate> {
  checkSameNetwork(network, kind.peek(raw).network, 'certificate')
  const statement = kind.open(raw, (read) => [invite.key, publicKeyOf(read.nodeId)])
  checkCertificate(network, invite, statement.body)
  return statement
}

/** The hash by which other statements name a certificate. */
export function hashOfCertificate(statement: Pick<Statement<Certificate>, 'bytes'>): CertificateHash {
  return certificateHashOf(statementHash(statement))
}

/** Reads a certificate without checking anything; for look-ups before the check. */
export function peekCertificate(raw: Uint8Array): Certificate {
  return kind.peek(raw)
}

function checkCertificate(network: Network, invite: Invite, certificate: Certificate): void {
  if (certificate.invite !== invite.id) throw new RopewalkError('bad-statement', 'The certificate names another invite')
  if (invite.name !== undefined && certificate.name !== invite.name) {
    throw new RopewalkError('missing-right', `The invite is for the name “${invite.name}” only`)
  }
  const beyond = certificate.tags.find((tag) => !invite.tags.includes(tag))
  if (beyond !== undefined) throw new RopewalkError('missing-right', `The invite does not allow the tag “${beyond}”`)
  if (certificate.v6 !== ipv6Of(network.id, certificate.nodeId)) {
    throw new RopewalkError('address-taken', 'The IPv6 address does not follow from the node key')
  }
  if (!mayHoldIpv4(network.ipv4Prefix, certificate.nodeId, certificate.v4)) {
    throw new RopewalkError('address-taken', 'The IPv4 address does not follow from the node key')
  }
}
