import { X509Certificate } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { makeSelfSigned, type TlsIdentity } from './self-signed.ts'

const FILE = 'relay-tls.pem'
const KEY_BEGIN = '-----BEGIN PRIVATE KEY-----'
const RENEW_BEFORE_MS = 30 * 24 * 3_600_000

/** Reads a certificate and its key from files. @throws RopewalkError `bad-config` for what cannot be read or does not fit */
export async function readTlsFiles(certFile: string, keyFile: string): Promise<TlsIdentity> {
  const read = async (file: string, option: string) => {
    try {
      return await readFile(file, 'utf8')
    } catch (cause) {
      throw new RopewalkError('bad-config', `${file} cannot be read: ${toRopewalkError(cause).message}`, {
        hint: `give ${option} a PEM file that this user may read`,
        cause,
      })
    }
  }
  const identity = { cert: await read(certFile, '--tls-cert'), key: await read(keyFile, '--tls-key') }
  try {
    createSecureContext(identity)
  } catch (cause) {
    throw new RopewalkError('bad-config', `${certFile} and ${keyFile} are no certificate and its key`, {
      hint: 'both are PEM; the key is that of the first certificate and has no passphrase',
      cause,
    })
  }
  return identity
}

/**
 * The self-signed certificate of a state folder: made at the first start, and again a month before it ends or when the
 * hosts change. @throws RopewalkError `state-corrupt` for a file that is not readable as ours
 */
export async function keepSelfSigned(folder: string, hosts: readonly string[], nowMs: number): Promise<TlsIdentity> {
  const path = join(folder, FILE)
  const held = await readHeld(path)
  if (held !== undefined && fits(held, hosts, nowMs)) return held
  const fresh = await makeSelfSigned(hosts, nowMs)
  await writeFile(`${path}.new`, fresh.key + fresh.cert, { mode: 0o600 })
  await rename(`${path}.new`, path)
  return fresh
}

/** SHA-256 of a certificate, as browsers show it. */
export function fingerprintOf({ cert }: TlsIdentity): string {
  return new X509Certificate(cert).fingerprint256
}

async function readHeld(path: string): Promise<TlsIdentity | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const known = toRopewalkError(error)
    if (known.code === 'not-found') return undefined
    throw known
  })
  if (text === undefined) return undefined
  const cut = text.indexOf('-----BEGIN CERTIFICATE-----')
  const identity = { key: text.slice(0, Math.max(0, cut)), cert: text.slice(Math.max(0, cut)) }
  try {
    if (!identity.key.startsWith(KEY_BEGIN)) throw new Error('there is no key in it')
    createSecureContext(identity)
    return identity
  } catch (cause) {
    throw new RopewalkError('state-corrupt', `${path} holds no certificate of ours; it is left as it is`, {
      hint: `see what it is, then remove it: rm ${path}`,
      cause,
    })
  }
}

function fits({ cert }: TlsIdentity, hosts: readonly string[], nowMs: number): boolean {
  const x509 = new X509Certificate(cert)
  const covers = (host: string) => (isIP(host) === 0 ? x509.checkHost(host) : x509.checkIP(host)) !== undefined
  return x509.validToDate.getTime() - nowMs > RENEW_BEFORE_MS && hosts.every(covers)
}
