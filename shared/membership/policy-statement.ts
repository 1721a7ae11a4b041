import { bytes, field, networkId, struct, type TypeOf, uint } from '@ropewalk/shared/codec'
import type { SigningKey } from '@ropewalk/shared/identity'
import { statementKind } from '@ropewalk/shared/statement'
import { checkSameNetwork, type Network } from './network.ts'
import { time } from './terms.ts'

/** Most bytes of the rules inside a policy statement. */
export const MAX_POLICY_BYTES = 64 * 1_024

const body = struct({
  network: field(1, networkId),
  seq: field(2, uint(undefined, 1)),
  issuedAtMs: field(3, time),
  rules: field(4, bytes(0, MAX_POLICY_BYTES)),
})

const kind = statementKind<TypeOf<typeof body>>({ kind: 'policy', codec: body, maxBytes: MAX_POLICY_BYTES + 512 })

/** The network's signed policy; the rules are bytes here, `shared/policy` reads them. */
export interface PolicyStatement {
  readonly seq: number
  readonly issuedAtMs: number
  readonly rules: Uint8Array
  /** The signed statement. */
  readonly bytes: Uint8Array
}

/** Signs a policy with the network's root. */
export function signPolicy(
  network: Network,
  policy: Pick<PolicyStatement, 'seq' | 'issuedAtMs' | 'rules'>,
  root: SigningKey,
): PolicyStatement {
  const statement = kind.sign({ ...policy, network: network.id }, root)
  return { ...statement.body, bytes: statement.bytes }
}

/** Opens a policy of this network. @throws RopewalkError `bad-statement`, `bad-signature`, `wrong-network`, `too-large` */
export function openPolicy(network: Network, raw: Uint8Array): PolicyStatement {
  checkSameNetwork(network, kind.peek(raw).network, 'policy')
  const statement = kind.open(raw, [network.rootKey])
  return { ...statement.body, bytes: statement.bytes }
}
