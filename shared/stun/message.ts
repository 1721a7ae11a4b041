import { crc32 } from 'node:zlib'
import { RopewalkError } from '../errors/index.ts'
import { decodeAddress, encodeAddress, type StunAddress } from './address.ts'

/** RFC 8489 §5: the fixed word by which a STUN message is told from WireGuard's. */
export const MAGIC_COOKIE = 0x2112a442
const HEADER_BYTES = 20
/** Our requests are padded to this, so that no answer is longer than its request. */
export const REQUEST_BYTES = 64
/** Longer datagrams are not looked at. */
export const MAX_MESSAGE_BYTES = 1280
const FINGERPRINT_XOR = 0x5354554e

const BINDING = 0x001
const CLASS_BITS = { request: 0x000, indication: 0x010, success: 0x100, error: 0x110 } as const
const ATTRIBUTE = {
  mapped: 0x0001,
  errorCode: 0x0009,
  xorMapped: 0x0020,
  software: 0x8022,
  fingerprint: 0x8028,
} as const

/** The class of a STUN message. */
export type StunClass = keyof typeof CLASS_BITS

/** A decoded binding message. */
export interface StunMessage {
  readonly class: StunClass
  /** 12 random bytes that tie an answer to its request. */
  readonly transactionId: Uint8Array
  /** XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS: how the server sees the sender. */
  readonly mapped?: StunAddress
  readonly software?: string
  readonly error?: { readonly code: number; readonly reason: string }
  /** Attributes we must understand by RFC 8489 §14 and do not. A message with any is not to be used. */
  readonly unknown: readonly number[]
}

/** Whether the first bytes of a datagram say STUN; cheap, before {@link decodeStun}. */
export function looksLikeStun(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && (bytes[0] ?? 0xff) < 4 && viewOf(bytes).getUint32(4) === MAGIC_COOKIE
}

/** A binding request of exactly 64 bytes. The transaction id is 12 random bytes of the caller's. */
export function encodeBindingRequest(transactionId: Uint8Array): Uint8Array {
  // SOFTWARE pads: unlike PADDING (RFC 5780) it may be ignored by servers that do not know it
  const padding = REQUEST_BYTES - HEADER_BYTES - 4 - 8
  return encode('request', transactionId, [[ATTRIBUTE.software, text('ropewalk'.padEnd(padding))]])
}

/** The answer to a binding request: 44 bytes for IPv4, 56 for IPv6. */
export function encodeBindingSuccess(transactionId: Uint8Array, mapped: StunAddress): Uint8Array {
  return encode('success', transactionId, [[ATTRIBUTE.xorMapped, encodeAddress(mapped, transactionId)]])
}

/**
 * Decodes a binding message of any class.
 * @throws RopewalkError `protocol-error` on anything that is not one: truncated, another method, a wrong fingerprint
 */
export function decodeStun(bytes: Uint8Array): StunMessage {
  if (bytes.length > MAX_MESSAGE_BYTES || !looksLikeStun(bytes)) throw malformed('not a STUN message')
  const view = viewOf(bytes)
  const type = view.getUint16(0)
  if (view.getUint16(2) !== bytes.length - HEADER_BYTES || bytes.length % 4 !== 0) throw malformed('wrong STUN length')
  const found = Object.entries(CLASS_BITS).find(([, bits]) => (type & 0x110) === bits)?.[0] as StunClass | undefined
  if (found === undefined || (type & ~0x110) !== BINDING) throw malformed('not a STUN binding')
  const transactionId = new Uint8Array(bytes.subarray(8, HEADER_BYTES))
  return { class: found, transactionId, ...attributes(bytes, view, transactionId) }
}

type Attributes = Omit<StunMessage, 'class' | 'transactionId'>

function attributes(bytes: Uint8Array, view: DataView, transactionId: Uint8Array): Attributes {
  const unknown: number[] = []
  const found: { xor?: StunAddress; plain?: StunAddress; software?: string; error?: StunMessage['error'] } = {}
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const type = view.getUint16(at)
    const length = view.getUint16(at + 2)
    const value = bytes.subarray(at + 4, at + 4 + length)
    if (value.length !== length) throw malformed('truncated STUN attribute')
    // the first of each counts, RFC 8489 §14
    if (type === ATTRIBUTE.xorMapped) found.xor ??= decodeAddress(value, transactionId)
    else if (type === ATTRIBUTE.mapped) found.plain ??= decodeAddress(value)
    else if (type === ATTRIBUTE.software) found.software ??= utf8(value).trimEnd()
    else if (type === ATTRIBUTE.errorCode) found.error ??= errorCode(value)
    else if (type === ATTRIBUTE.fingerprint) {
      if (length !== 4 || at + 8 !== bytes.length || view.getUint32(at + 4) !== fingerprint(bytes.subarray(0, at))) {
        throw malformed('wrong STUN fingerprint')
      }
    } else if (type < 0x8000) unknown.push(type)
    at += 4 + length + padOf(length)
  }
  const mapped = found.xor ?? found.plain
  return {
    unknown,
    ...(mapped === undefined ? {} : { mapped }),
    ...(found.software === undefined ? {} : { software: found.software }),
    ...(found.error === undefined ? {} : { error: found.error }),
  }
}

function encode(
  kind: StunClass,
  transactionId: Uint8Array,
  list: readonly (readonly [number, Uint8Array])[],
): Uint8Array {
  if (transactionId.length !== 12) throw new RopewalkError('bad-input', 'A STUN transaction id has 12 bytes')
  const body = list.reduce((sum, [, value]) => sum + 4 + value.length + padOf(value.length), 0)
  const bytes = new Uint8Array(HEADER_BYTES + body + 8)
  const view = viewOf(bytes)
  view.setUint16(0, BINDING | CLASS_BITS[kind])
  view.setUint16(2, body + 8)
  view.setUint32(4, MAGIC_COOKIE)
  bytes.set(transactionId, 8)
  let at = HEADER_BYTES
  for (const [type, value] of list) {
    view.setUint16(at, type)
    view.setUint16(at + 2, value.length)
    bytes.set(value, at + 4)
    at += 4 + value.length + padOf(value.length)
  }
  view.setUint16(at, ATTRIBUTE.fingerprint)
  view.setUint16(at + 2, 4)
  view.setUint32(at + 4, fingerprint(bytes.subarray(0, at)))
  return bytes
}

function errorCode(value: Uint8Array): { code: number; reason: string } {
  if (value.length < 4) throw malformed('truncated STUN error')
  return { code: ((value[2] ?? 0) & 7) * 100 + (value[3] ?? 0), reason: utf8(value.subarray(4)) }
}

function fingerprint(before: Uint8Array): number {
  return (crc32(before) ^ FINGERPRINT_XOR) >>> 0
}

function padOf(length: number): number {
  return (4 - (length % 4)) % 4
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, 763))
}

function malformed(message: string): RopewalkError {
  return new RopewalkError('protocol-error', message)
}
