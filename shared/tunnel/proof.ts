import type { SigningKey } from '../identity/index.ts'
import { verifySignature } from '../identity/index.ts'
import { NONCE_BYTES } from './wire.ts'

const CONTEXT = 'ropewalk/tunnel-proof/1\0'
const ROLES = { relay: 1, agent: 2, visitor: 3 } as const

/** Which end signs: a proof of one role never passes for another. */
export type ProofRole = keyof typeof ROLES

/** What both ends of a control stream know when they prove their keys to each other. */
export interface ProofInput {
  readonly role: ProofRole
  readonly clientNonce: Uint8Array
  readonly relayNonce: Uint8Array
  /** TLS exporter, 32 bytes: a proof cannot be carried over to another connection. */
  readonly exporter: Uint8Array
}

/** Signs context ‖ role ‖ both nonces ‖ exporter with the node key. 64 bytes. */
export function signProof(key: SigningKey, input: ProofInput): Uint8Array {
  return key.sign(CONTEXT, proven(input))
}

/** Whether the holder of `publicKey` (32 bytes) signed it. */
export function verifyProof(publicKey: Uint8Array, input: ProofInput, signature: Uint8Array): boolean {
  const lengths = [input.clientNonce, input.relayNonce, input.exporter]
  if (lengths.some((part) => part.length !== NONCE_BYTES)) return false
  return verifySignature(publicKey, CONTEXT, proven(input), signature)
}

function proven({ role, clientNonce, relayNonce, exporter }: ProofInput): Uint8Array {
  return Buffer.concat([Uint8Array.of(ROLES[role]), clientNonce, relayNonce, exporter])
}
