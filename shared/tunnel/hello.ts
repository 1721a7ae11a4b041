import { createHmac, timingSafeEqual } from 'node:crypto'
import { type ErrorCode, RopewalkError } from '../errors/index.ts'
import { SESSION_BYTES, STREAM_ID_BYTES } from './wire.ts'

/** The first bytes of a data connection; anything else on the port is TLS. */
export const DATA_MAGIC = 'RWT1'
/** Length of the hello of a data connection. */
export const HELLO_BYTES = 64
/** The relay's answer: the other end is there, bytes may flow. */
export const GO = 0x01
/** The relay's answer: no, and one byte of {@link refusalCode} behind it. */
export const NO = 0x00

/** `pooled`: an agent's, for a stream to come · `called`: an agent's, for an `open` · `visit`: a visitor's. */
export type DataKind = 'pooled' | 'called' | 'visit'

const KINDS: readonly DataKind[] = ['pooled', 'called', 'visit']
const MAC_AT = 24
const MAC_END = 56
const CONTEXT = 'ropewalk/data-hello/1\0'

/** What a data connection says about itself. */
export interface DataHello {
  readonly kind: DataKind
  /** Session of its control stream ‖ a number used once in it. */
  readonly stream: Uint8Array
}

/** The id of a stream: its session and a number that is used once. */
export function streamIdOf(session: Uint8Array, number: number): Uint8Array {
  const id = new Uint8Array(STREAM_ID_BYTES)
  id.set(session.subarray(0, SESSION_BYTES))
  new DataView(id.buffer).setBigUint64(SESSION_BYTES, BigInt(number))
  return id
}

/** The session and the number inside a stream id. Numbers above 2^53 are of nobody and become `NaN`. */
export function partsOf(stream: Uint8Array): { session: Uint8Array; number: number } {
  const number = Number(new DataView(stream.buffer, stream.byteOffset).getBigUint64(SESSION_BYTES))
  return { session: stream.subarray(0, SESSION_BYTES), number: Number.isSafeInteger(number) ? number : Number.NaN }
}

/** The 64 bytes: magic, kind, three zeros, stream id, MAC, eight zeros. */
export function encodeHello({ kind, stream }: DataHello, dataKey: Uint8Array): Uint8Array {
  const hello = Buffer.alloc(HELLO_BYTES)
  hello.write(DATA_MAGIC, 'latin1')
  hello[4] = KINDS.indexOf(kind) + 1
  hello.set(stream, 8)
  hello.set(macOf(hello, dataKey), MAC_AT)
  return hello
}

/** Reads a hello without believing it. @throws RopewalkError `protocol-error` when a byte is not as it must be */
export function decodeHello(hello: Uint8Array): DataHello {
  const kind = KINDS[(hello[4] ?? 0) - 1]
  const magic = Buffer.from(hello.subarray(0, 4)).toString('latin1')
  const zeros = [...hello.subarray(5, 8), ...hello.subarray(MAC_END)]
  if (hello.length !== HELLO_BYTES || magic !== DATA_MAGIC || kind === undefined || zeros.some((byte) => byte !== 0)) {
    throw new RopewalkError('protocol-error', 'That is not the hello of a data connection')
  }
  return { kind, stream: new Uint8Array(hello.subarray(8, MAC_AT)) }
}

/** Whether a hello was made with this key, in constant time. */
export function helloIsBy(hello: Uint8Array, dataKey: Uint8Array): boolean {
  return timingSafeEqual(macOf(hello, dataKey), hello.subarray(MAC_AT, MAC_END))
}

function macOf(hello: Uint8Array, dataKey: Uint8Array): Uint8Array {
  return createHmac('sha256', dataKey).update(CONTEXT).update(hello.subarray(0, MAC_AT)).digest()
}

/** Why a data connection is refused; the index is the byte on the wire, so append only. */
const REFUSALS: readonly ErrorCode[] = [
  'internal',
  'protocol-error',
  'proof-failed',
  'no-agent',
  'limit-reached',
  'timeout',
  'draining',
  'revoked',
  'forbidden',
  'aborted',
]

/** The byte of a refusal; codes without one go as `internal`. */
export function refusalByte(code: ErrorCode): number {
  return Math.max(REFUSALS.indexOf(code), 0)
}

/** The code of a refusal's byte. */
export function refusalCode(byte: number): ErrorCode {
  return REFUSALS[byte] ?? 'internal'
}
