import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId } from '@ropewalk/shared/identity'
import { decodeBundle, type VerifierView, verifyApplicant } from '@ropewalk/shared/membership'
import { type NodeRecord, openRecord } from '@ropewalk/shared/records'
import { z } from 'zod'
import type { Fetcher, WellKnown } from './face.ts'

/** Path under a relay's URL. */
export const WELL_KNOWN_PATH = '/.well-known/ropewalk'

const MAX_BYTES = 16 * 1_024

/** `GET /.well-known/ropewalk`. */
export const wellKnownSchema: z.ZodType<WellKnown> = z.strictObject({
  version: z.literal(1),
  nodeId: z.string().refine(isNodeId),
  record: z.base64url().max(3_000),
  bundle: z.base64url().max(3_000),
})

/**
 * Learns a relay's record from its URL. Who serves it does not matter: it is signed by the node the ticket names, and
 * its certificate comes from the network's root. @throws RopewalkError `unreachable`, `wrong-key`, `bad-input`, …
 */
export async function fetchRelayRecord(
  fetcher: Fetcher,
  relay: { readonly url: string; readonly nodeId: NodeId },
  view: VerifierView,
  signal: AbortSignal,
): Promise<NodeRecord> {
  const said = parse(await fetcher(new URL(WELL_KNOWN_PATH, relay.url).href, { signal, maxBytes: MAX_BYTES }))
  if (said.nodeId !== relay.nodeId) {
    throw new RopewalkError('wrong-key', `${relay.url} is another relay than the ticket names`)
  }
  verifyApplicant(decodeBundle(Buffer.from(said.bundle, 'base64url')), view, relay.nodeId)
  const record = openRecord(Buffer.from(said.record, 'base64url')).body
  if (record.nodeId !== relay.nodeId) throw new RopewalkError('wrong-key', 'The record is another node’s')
  return record
}

/** Fetches over HTTPS without asking a certificate authority: what is fetched here proves itself. */
export const fetchUnverified: Fetcher = (url, { signal, maxBytes }) => {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const fail = (error: unknown): void =>
    reject(
      error instanceof RopewalkError
        ? error
        : new RopewalkError('unreachable', `${url}: ${toRopewalkError(error).message}`, { cause: error }),
    )
  const send = url.startsWith('https:') ? request : plainRequest
  const asked = send(url, { signal, rejectUnauthorized: false, headers: { accept: 'application/json' } }, (answer) => {
    if (answer.statusCode !== 200) {
      answer.resume()
      fail(new RopewalkError('unreachable', `${url} answered ${answer.statusCode}`))
      return
    }
    const parts: Buffer[] = []
    let length = 0
    answer.on('data', (part: Buffer) => {
      length += part.length
      if (length > maxBytes) asked.destroy(new RopewalkError('too-large', `${url} sent too much`))
      else parts.push(part)
    })
    answer.on('end', () => resolve(new Uint8Array(Buffer.concat(parts))))
    answer.on('error', fail)
  })
  asked.on('error', fail)
  asked.end()
  return promise
}

function parse(raw: Uint8Array): WellKnown {
  try {
    return wellKnownSchema.parse(JSON.parse(Buffer.from(raw).toString()))
  } catch (cause) {
    throw new RopewalkError('bad-input', 'That is not a relay’s well-known document', { cause })
  }
}
