import type { SigningKey } from '@ropewalk/shared/identity'
import { type Bundle, hashOfCertificate } from '@ropewalk/shared/membership'
import { RECORD_TTL_MS, signRecord } from '@ropewalk/shared/records'
import type { TestNode } from './test-mesh.ts'

/** A record of a node with nothing in it, as the node's key would sign it. */
export function recordOf({ key, memory }: Pick<TestNode, 'key' | 'memory'>, seq = Date.now()): Uint8Array {
  return emptyRecord(key, memory.bundle, { seq })
}

/** The same of whoever has a key and a bundle. */
export function emptyRecord(
  key: SigningKey,
  { certificate }: Bundle,
  change: { readonly seq: number; readonly gone?: boolean },
): Uint8Array {
  const nothing = {
    addresses: [],
    candidates: [],
    relays: [],
    services: [],
    sshHostKeys: [],
    routes: [],
    neighbours: [],
  }
  const certificateHash = hashOfCertificate({ bytes: certificate })
  return signRecord({ ...nothing, certificateHash, ttlMs: RECORD_TTL_MS, nat: 'unknown', ...change }, key).bytes
}
