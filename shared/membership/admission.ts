import { field, networkId, nodeId, struct, type TypeOf, uint } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { publicKeyOf, type SigningKey } from '@ropewalk/shared/identity'
import { type Statement, statementKind } from '@ropewalk/shared/statement'
import { ADMISSION_LIFETIME_MS, MAX_MEMBERS } from './limits.ts'
import { checkSameNetwork, type Network } from './network.ts'
import { certificateHash, inviteId, time } from './terms.ts'

const body = struct({
  network: field(1, networkId),
  certificate: field(2, certificateHash),
  invite: field(3, inviteId),
  /** Which use of the invite it is, from 1. */
  use: field(4, uint(MAX_MEMBERS, 1)),
  /** When this certificate was first admitted: renewals keep it; the earliest holder of a name keeps the name. */
  sinceMs: field(5, time),
  admittedAtMs: field(6, time),
  notAfterMs: field(7, time),
  /** Who signed: the key of an admitter, or the network's root key. */
  admitter: field(8, nodeId),
})

/** An admitter's word, by its own clock, that a certificate is in and unique. */
export type Admission = TypeOf<typeof body>

const kind = statementKind<Admission>({ kind: 'admission', codec: body, maxBytes: 512 })

/** Signs an admission; `network` and `admitter` follow from the arguments. */
export function signAdmission(
  network: Network,
  admission: Omit<Admission, 'network' | 'admitter'>,
  admitter: SigningKey,
): Statement<Admission> {
  return kind.sign({ ...admission, network: network.id, admitter: admitter.nodeId }, admitter)
}

/**
 * Opens an admission; whether its admitter has the right is the verifier's question.
 * @throws RopewalkError `bad-statement`, `bad-signature`, `wrong-network`, `too-large`
 */
export function openAdmission(network: Network, raw: Uint8Array): Statement<Admission> {
  checkSameNetwork(network, kind.peek(raw).network, 'admission')
  const statement = kind.open(raw, (read) => [publicKeyOf(read.admitter)])
  const { sinceMs, admittedAtMs, notAfterMs } = statement.body
  if (sinceMs > admittedAtMs || notAfterMs <= admittedAtMs || notAfterMs - admittedAtMs > ADMISSION_LIFETIME_MS) {
    throw new RopewalkError('bad-statement', 'The dates of the admission do not fit together')
  }
  return statement
}

/** Reads an admission without checking anything; for look-ups before the check. */
export function peekAdmission(raw: Uint8Array): Admission {
  return kind.peek(raw)
}
