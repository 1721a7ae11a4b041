import { checkNetworkPrefix4, type Prefix } from '@ropewalk/shared/addressing'
import { bytes, field, mapped, name, struct, type TypeOf } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { hash, KEY_BYTES, type NetworkId, type NodeName, networkIdOf, type SigningKey } from '@ropewalk/shared/identity'
import { statementHash, statementKind } from '@ropewalk/shared/statement'
import { prefix, time } from './terms.ts'

/** A network as its root describes it: verified, and everything that follows is measured by it. */
export interface Network {
  readonly id: NetworkId
  readonly name: NodeName
  readonly ipv4Prefix: Prefix
  /** The root's Ed25519 public key, 32 bytes. */
  readonly rootKey: Uint8Array
  readonly createdAtMs: number
  /** Hash of the key that may take over as root, see {@link rootKeyHash}. */
  readonly nextRootHash: Uint8Array
  /** The signed statement. */
  readonly bytes: Uint8Array
}

const prefix4 = mapped(prefix, checkNetworkPrefix4, (value) => value)

const body = struct({
  name: field(1, name),
  ipv4Prefix: field(2, prefix4),
  rootKey: field(3, bytes(KEY_BYTES)),
  createdAtMs: field(4, time),
  nextRootHash: field(5, bytes(32)),
})

const kind = statementKind<TypeOf<typeof body>>({ kind: 'network', codec: body, maxBytes: 512 })

/** What a new network is made of. */
export interface NetworkOptions {
  readonly name: NodeName
  readonly ipv4Prefix: Prefix
  readonly root: SigningKey
  /** Public key of the next root, 32 bytes; only its hash is published. */
  readonly nextRootKey: Uint8Array
  readonly nowMs: number
}

/** Founds a network: signs its first statement, whose hash is the network's id for good. */
export function foundNetwork(options: NetworkOptions): Network {
  const statement = kind.sign(
    {
      name: options.name,
      ipv4Prefix: options.ipv4Prefix,
      rootKey: options.root.publicKey,
      createdAtMs: options.nowMs,
      nextRootHash: rootKeyHash(options.nextRootKey),
    },
    options.root,
  )
  return openNetwork(statement.bytes)
}

/** Opens a network statement. @throws RopewalkError `bad-statement`, `bad-signature`, `too-large` */
export function openNetwork(raw: Uint8Array): Network {
  const statement = kind.open(raw, (read) => [read.rootKey])
  return { ...statement.body, id: networkIdOf(statementHash(statement)), bytes: statement.bytes }
}

/** The hash under which a network statement names its next root key, 32 bytes. */
export function rootKeyHash(publicKey: Uint8Array): Uint8Array {
  return hash('ropewalk/root-key/1', publicKey)
}

/** Checks that something belongs to this network. @throws RopewalkError `wrong-network` */
export function checkSameNetwork(network: Network, other: NetworkId, what: string): void {
  if (other !== network.id) throw new RopewalkError('wrong-network', `The ${what} belongs to another network`)
}
