import 'reflect-metadata'
import { createPublicKey, randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import { cryptoProvider, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import type { SigningKey } from '@ropewalk/shared/identity'

const ED25519 = { name: 'Ed25519' } as const

/**
 * The certificate of the inner TLS, self-signed on the node key, and that key (PKCS #8), both DER. Nothing in it is believed
 * but the key; the dates span everything because membership has dates of its own.
 */
export async function innerCertificate(key: SigningKey): Promise<{ certificate: Buffer; key: Buffer }> {
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
  return {
    certificate: Buffer.from(certificate.rawData),
    key: key.keyObject.export({ format: 'der', type: 'pkcs8' }),
  }
}

/** A certificate and its key as PEM. */
export interface PemPair {
  readonly cert: string
  readonly key: string
}

/**
 * A self-signed certificate for a web server of that host, one year: for relays without one of an authority. Browsers
 * warn about it; tunnels do not look at it. P-256, since browsers speak no Ed25519.
 */
export async function selfSignedWeb(host: string): Promise<PemPair> {
  cryptoProvider.set(globalThis.crypto)
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
  const dayMs = 24 * 3_600_000
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: `01${randomBytes(8).toString('hex')}`,
    name: [{ CN: [host] }],
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + 365 * dayMs),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    keys,
    extensions: [new SubjectAlternativeNameExtension([{ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }])],
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  const key = ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
  return { cert: certificate.toString('pem'), key }
}
