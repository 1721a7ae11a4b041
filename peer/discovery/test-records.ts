import { hashOfCertificate } from '@ropewalk/shared/membership'
import { RECORD_TTL_MS, signRecord } from '@ropewalk/shared/records'
import type { TestNode } from './test-mesh.ts'

/** A record of a node with nothing in it, as the node's key would sign it. */
export function recordOf({ key, memory }: Pick<TestNode, 'key' | 'memory'>, seq = Date.now()): Uint8Array {
  const nothing = {
    addresses: [],
    candidates: [],
    relays: [],
    services: [],
    sshHostKeys: [],
    routes: [],
    neighbours: [],
  }
  const certificateHash = hashOfCertificate({ bytes: memory.bundle.certificate })
  return signRecord({ ...nothing, certificateHash, seq, ttlMs: RECORD_TTL_MS, nat: 'unknown' }, key).bytes
}
