import type { Caller } from '@ropewalk/peer/api'
import type { Scope } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type NodeId, nodeIdOf } from '@ropewalk/shared/identity'
import { type TokenView, verifyToken } from '@ropewalk/shared/membership'
import type { FastifyRequest } from 'fastify'

/** What tokens are judged by. */
export interface BearerDependencies {
  /** The members and revocations as they are now. */
  readonly view: () => TokenView
  readonly nameOf: (nodeId: NodeId) => string | undefined
}

/** Who holds a token. */
export interface Bearer extends Caller {
  /** Every scope in the token, of the API's own and others (`metrics`). */
  readonly words: ReadonlySet<string>
  /** Whether the token counts still. @throws RopewalkError `unauthenticated` with the reason when not */
  check(): void
}

/** Proves who asks by the bearer token of a request, and by nothing else of it. */
export interface BearerGate {
  /** @throws RopewalkError `unauthenticated` */
  authorize(request: Pick<FastifyRequest, 'headers'>): Bearer
}

/** Proves who asks; who fails too often has to wait. */
export type Authorize = (request: FastifyRequest) => Promise<Bearer>

const SCOPES: readonly Scope[] = ['read', 'write'] // `stream` is for members, never for tokens

/** A gate that knows no token by heart: each is verified each time, so that a revoked one counts no more at once. */
export function createBearerGate({ view, nameOf }: BearerDependencies): BearerGate {
  return {
    authorize({ headers }) {
      const text = /^Bearer ([\w-]{1,4096})$/i.exec(headers.authorization ?? '')?.[1]
      if (text === undefined) {
        throw new RopewalkError('unauthenticated', 'This needs a token: Authorization: Bearer rwt1_…', {
          hint: 'make one with: ropewalk token create',
        })
      }
      const now = view()
      const { id, issuer, scopes } = verifyToken(text, now)
      const words = new Set(scopes)
      const name = issuer === nodeIdOf(now.network.rootKey) ? 'root' : (nameOf(issuer) ?? issuer)
      return {
        actor: `token ${id.slice(0, 8)} of ${name}`,
        scopes: new Set(SCOPES.filter((scope) => words.has(scope))),
        words,
        check: () => void verifyToken(text, view()),
      }
    },
  }
}
