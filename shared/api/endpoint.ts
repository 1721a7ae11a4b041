import type { z } from 'zod'

/** What a bearer token may do; `stream` is for members on the local socket only, never for tokens. */
export type Scope = 'read' | 'write' | 'stream'

/** One operation of an HTTP API. The relay makes routes and OpenAPI out of it, the client its functions. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Under `/api/v1`; parameters as `:name`. */
  readonly path: string
  readonly summary: string
  readonly scope: Scope
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  readonly answer: z.ZodType
}

/** The operations of one API by name. */
export type Contract = Readonly<Record<string, Endpoint>>

/** Where both APIs live. */
export const API_PREFIX = '/api/v1'

/** Keeps the literal types of a contract. */
export function contract<const C extends Contract>(endpoints: C): C {
  return endpoints
}
