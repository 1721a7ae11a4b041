import { createHash } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import { z } from 'zod'

const FORMAT = 1
const MAX_HEADER_BYTES = 256

const header = z.strictObject({
  ropewalk: z.string(),
  format: z.number().int(),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().length(64),
})

/**
 * A state file: one line that says what it is, how long and with which SHA-256, then the content. So a half-written
 * file, another program's and a newer version's are told apart before anything in them is believed.
 */
export function wrapContent(kind: string, content: Uint8Array): Uint8Array {
  const line = JSON.stringify({ ropewalk: kind, format: FORMAT, bytes: content.length, sha256: digest(content) })
  return Buffer.concat([Buffer.from(`${line}\n`), content])
}

/**
 * The content of a state file. @throws RopewalkError `state-foreign` for another program's or kind's file,
 * `state-corrupt` for a damaged one, `version-mismatch` for one of a newer ropewalk
 */
export function unwrapContent(kind: string, file: Uint8Array, path: string): Uint8Array {
  const end = file.subarray(0, MAX_HEADER_BYTES).indexOf(0x0a)
  const said = end < 0 ? undefined : parseHeader(Buffer.from(file.subarray(0, end)).toString())
  if (said === undefined) {
    const ours = Buffer.from(file.subarray(0, 12)).toString() === '{"ropewalk":' || file.every((byte) => byte === 0)
    throw ours ? damaged(path) : foreign(path, 'is not a state file of ropewalk')
  }
  if (said.ropewalk !== kind) throw foreign(path, `holds “${said.ropewalk.slice(0, 40)}”, not “${kind}”`)
  if (said.format !== FORMAT) {
    throw new RopewalkError('version-mismatch', `${path} was written by a newer ropewalk`, { hint: 'update this one' })
  }
  const content = file.subarray(end + 1)
  if (content.length !== said.bytes || digest(content) !== said.sha256) throw damaged(path)
  return content
}

/** The error of a file whose content is not what it should be. */
export function damaged(path: string, cause?: unknown): RopewalkError {
  return new RopewalkError('state-corrupt', `${path} is damaged; it is left as it is`, {
    hint: 'restore it from a backup, or move it away and join again with a new ticket',
    cause,
  })
}

/** The error of what is not ours. */
export function foreign(path: string, what: string): RopewalkError {
  return new RopewalkError('state-foreign', `${path} ${what}; it is left as it is`, {
    hint: 'choose another folder with --state',
  })
}

function parseHeader(line: string): z.infer<typeof header> | undefined {
  try {
    return header.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
