import { field, list, networkId, nodeId, struct, type TypeOf, text } from '@ropewalk/shared/codec'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { type NodeId, nodeIdOf, publicKeyOf, type SigningKey } from '@ropewalk/shared/identity'
import { statementKind } from '@ropewalk/shared/statement'
import { CLOCK_TOLERANCE_MS } from './limits.ts'
import { checkSameNetwork, type Network } from './network.ts'
import type { Revocations } from './revocations.ts'
import { type InviteId, inviteId, time } from './terms.ts'

/** How every API token begins. */
export const TOKEN_PREFIX = 'rwt1_'

const MAX_TOKEN_BYTES = 1_024

const body = struct({
  network: field(1, networkId),
  id: field(2, inviteId),
  scopes: field(3, list(text(32, 1), 8)),
  issuedAtMs: field(4, time),
  notAfterMs: field(5, time),
  issuer: field(6, nodeId),
})

/** What a bearer of the token may do on the HTTP API, and until when. */
export type ApiToken = TypeOf<typeof body>

const kind = statementKind<ApiToken>({ kind: 'api-token', codec: body, maxBytes: MAX_TOKEN_BYTES })

/** What a relay knows when a token is shown. */
export interface TokenView {
  readonly network: Network
  readonly nowMs: number
  readonly revocations?: Revocations | undefined
  /** Whether a member may issue tokens: it holds the right to admit. The root always may. */
  mayIssue(issuer: NodeId): boolean
}

/** Signs a token; its text is a secret, shown once. */
export function signToken(
  network: Network,
  token: {
    readonly id: InviteId
    readonly scopes: readonly string[]
    readonly issuedAtMs: number
    readonly notAfterMs: number
  },
  issuer: SigningKey,
): string {
  const statement = kind.sign({ ...token, network: network.id, issuer: issuer.nodeId }, issuer)
  return TOKEN_PREFIX + Buffer.from(statement.bytes).toString('base64url')
}

/** Verifies a bearer token. @throws RopewalkError `unauthenticated` with the reason in its sentence */
export function verifyToken(input: string, view: TokenView): ApiToken {
  try {
    return verify(input, view)
  } catch (error) {
    if (!isRopewalkError(error)) throw error
    throw new RopewalkError('unauthenticated', error.message, {
      hint: 'make one with: ropewalk token create',
      cause: error,
    })
  }
}

function verify(input: string, view: TokenView): ApiToken {
  if (!input.startsWith(TOKEN_PREFIX) || input.length > 2 * MAX_TOKEN_BYTES) {
    throw new RopewalkError('bad-input', 'That is not a token of ours')
  }
  const raw = new Uint8Array(Buffer.from(input.slice(TOKEN_PREFIX.length), 'base64url'))
  checkSameNetwork(view.network, kind.peek(raw).network, 'token')
  const token = kind.open(raw, (read) => [publicKeyOf(read.issuer)]).body
  const issuerRevoked = view.revocations?.nodes.has(token.issuer) === true
  if (issuerRevoked || view.revocations?.tokens.has(token.id) === true) {
    throw new RopewalkError('revoked', 'The token or its issuer is revoked')
  }
  if (token.issuer !== nodeIdOf(view.network.rootKey) && !view.mayIssue(token.issuer)) {
    throw new RopewalkError('missing-right', 'The issuer of the token may not issue any')
  }
  if (view.nowMs > token.notAfterMs) throw new RopewalkError('unauthenticated', 'The token is past its time')
  if (view.nowMs < token.issuedAtMs - CLOCK_TOLERANCE_MS)
    throw new RopewalkError('clock-skew', 'The token lies in the future')
  return token
}
