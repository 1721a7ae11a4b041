import type { z } from 'zod'
import { fromProblem, RopewalkError, toRopewalkError } from '../errors/index.ts'
import { API_PREFIX, type Contract, type Endpoint } from './endpoint.ts'

/** The part of `fetch` that the client needs; the caller's may go over a unix socket. */
export type FetchLike = (
  url: string,
  init: {
    readonly method: string
    readonly headers: Record<string, string>
    readonly body?: string
    readonly signal: AbortSignal
  },
) => Promise<{ readonly status: number; text(): Promise<string> }>

/** How the client reaches its server. */
export interface ClientOptions {
  readonly fetch: FetchLike
  /** Without a slash at its end; empty where the `fetch` knows its server. */
  readonly baseUrl?: string
  readonly token?: string
  /** For one call; 10,000 unless said. */
  readonly timeoutMs?: number
}

type Part<E, K extends string> = E extends { readonly [P in K]: infer S extends z.ZodType }
  ? undefined extends z.input<S>
    ? { readonly [P in K]?: z.input<S> }
    : Record<never, never> extends z.input<S>
      ? { readonly [P in K]?: z.input<S> }
      : { readonly [P in K]: z.input<S> }
  : Record<never, never>

/** What a call of an endpoint takes. */
export type Input<E extends Endpoint> = Part<E, 'params'> & Part<E, 'query'> & Part<E, 'body'>
type Output<E extends Endpoint> = z.output<E['answer']>
type CallOptions = { readonly signal?: AbortSignal; readonly timeoutMs?: number }

/** One function for each operation of a contract. */
export type Client<C extends Contract> = {
  readonly [K in keyof C]: (
    ...input: Record<never, never> extends Input<C[K]>
      ? [input?: Input<C[K]>, options?: CallOptions]
      : [input: Input<C[K]>, options?: CallOptions]
  ) => Promise<Output<C[K]>>
}

interface Parts {
  readonly params?: Readonly<Record<string, unknown>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

/**
 * A typed client of a contract. Calls throw RopewalkError only: the server's own, or `timeout`, `unreachable`,
 * `protocol-error` when the answer is not of the contract's form.
 */
export function createClient<const C extends Contract>(api: C, options: ClientOptions): Client<C> {
  const calls = Object.entries(api).map(([name, endpoint]) => [
    name,
    (input: Parts = {}, call: CallOptions = {}) => request(endpoint, input, options, call),
  ])
  return Object.fromEntries(calls)
}

async function request(endpoint: Endpoint, input: Parts, options: ClientOptions, call: CallOptions): Promise<unknown> {
  const timeout = AbortSignal.timeout(call.timeoutMs ?? options.timeoutMs ?? 10_000)
  const signal = call.signal === undefined ? timeout : AbortSignal.any([call.signal, timeout])
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
  if (input.body !== undefined) headers['content-type'] = 'application/json'
  const url = `${options.baseUrl ?? ''}${API_PREFIX}${pathOf(endpoint, input)}`
  const body = input.body === undefined ? {} : { body: JSON.stringify(input.body) }
  const { status, text } = await send(
    () => options.fetch(url, { method: endpoint.method, headers, signal, ...body }),
    signal,
  )
  const answer = parseJson(text)
  if (status < 200 || status > 299) throw fromProblem(answer, status)
  const parsed = endpoint.answer.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new RopewalkError('protocol-error', `The answer of ${endpoint.path} has not the form agreed on`, {
    cause: parsed.error,
    hint: 'run the same version at both ends',
  })
}

async function send(
  fetch: () => ReturnType<FetchLike>,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch()
    return { status: response.status, text: await response.text() }
  } catch (error) {
    // Node's http says "aborted" for a time that is over, too
    if (signal.aborted) throw toRopewalkError(signal.reason)
    const known = toRopewalkError(error)
    // the platform's fetch hides the system's error behind "fetch failed"
    const inner =
      known.code === 'internal' && error instanceof Error && error.cause !== undefined
        ? toRopewalkError(error.cause)
        : known
    throw inner.code === 'internal' ? new RopewalkError('unreachable', inner.message, { cause: error }) : inner
  }
}

function pathOf(endpoint: Endpoint, input: Parts): string {
  const path = endpoint.path.replaceAll(/:(\w+)/g, (_, name: string) =>
    encodeURIComponent(String(input.params?.[name])),
  )
  const pairs = Object.entries(input.query ?? {}).filter(([, value]) => value !== undefined)
  const query = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, String(value)])).toString()
  return query === '' ? path : `${path}?${query}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
