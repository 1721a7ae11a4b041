import { createHash } from 'node:crypto'

/** Whether two byte strings are equal; not for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** Order of byte strings, shorter first when one begins the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

/** SHA-256 over a context string ending in `\0` and the parts after it, 32 bytes. Parts are of fixed length or last. */
export function hash(context: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const digest = createHash('sha256').update(`${context}\0`)
  for (const part of parts) digest.update(part)
  return new Uint8Array(digest.digest())
}

/** Bytes as lower-case hexadecimal: for map keys and logs. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
