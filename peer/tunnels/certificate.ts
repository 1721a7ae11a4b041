import 'reflect-metadata'
import { createPublicKey } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { cryptoProvider, X509CertificateGenerator } from '@peculiar/x509'
import type { SigningKey } from '@ropewalk/shared/identity'

const ED25519 = { name: 'Ed25519' } as const

/**
 * The TLS context of the inner TLS: a self-signed X.509 certificate on the node key. Nothing in it is believed but the
 * key; the dates span everything because membership has dates of its own.
 */
export async function innerContext(key: SigningKey): Promise<SecureContext> {
  cryptoProvider.set(globalThis.crypto)
  const privateKey = key.keyObject.toCryptoKey(ED25519, false, ['sign'])
  const publicKey = createPublicKey(key.keyObject).toCryptoKey(ED25519, true, ['verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${key.nodeId}`,
    notBefore: new Date('2000-01-01T00:00:00Z'),
    notAfter: new Date('9999-12-31T23:59:59Z'),
    signingAlgorithm: ED25519,
    keys: { privateKey, publicKey },
  })
  return createSecureContext({
    cert: certificate.toString('pem'),
    key: key.keyObject.export({ format: 'pem', type: 'pkcs8' }),
    minVersion: 'TLSv1.3',
    sigalgs: 'ed25519',
  })
}
