import 'reflect-metadata'
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import {
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const DAY_MS = 24 * 3_600_000
/** Browsers take no server certificate that lasts longer. */
const LIFETIME_MS = 397 * DAY_MS

// P-256: what every browser and HTTP client verifies. Peers of ours trust the relay's node key, not this.
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** A certificate chain and its private key, both PEM. */
export interface TlsIdentity {
  readonly cert: string
  readonly key: string
}

/** Makes a certificate for these host names and addresses, signed by its own fresh key. */
export async function makeSelfSigned(hosts: readonly string[], nowMs: number): Promise<TlsIdentity> {
  cryptoProvider.set(globalThis.crypto)
  const pair = generateKeyPairSync('ec', { namedCurve: ALGORITHM.namedCurve })
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: `00${randomBytes(15).toString('hex')}`,
    name: [{ CN: [hosts[0] ?? 'ropewalk relay'] }],
    notBefore: new Date(nowMs - DAY_MS),
    notAfter: new Date(nowMs + LIFETIME_MS),
    signingAlgorithm: ALGORITHM,
    keys: {
      privateKey: pair.privateKey.toCryptoKey(ALGORITHM, false, ['sign']),
      publicKey: createPublicKey(pair.privateKey).toCryptoKey(ALGORITHM, true, ['verify']),
    },
    extensions: [
      new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }))),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    ],
  })
  return {
    cert: `${certificate.toString('pem').trimEnd()}\n`,
    key: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}
