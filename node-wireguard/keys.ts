import { calling } from './errors.ts'
import { native } from './native.ts'

/**
 * The X25519 public key (32 bytes) of a private one.
 * @throws {WireguardError} `INVALID_ARGUMENT` if it is not 32 bytes long
 */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  return calling(() => native().publicKeyOf(privateKey))
}

/** A new X25519 private key (32 bytes, clamped) from the kernel's random numbers. */
export function generatePrivateKey(): Uint8Array {
  return calling(() => native().generatePrivateKey())
}
