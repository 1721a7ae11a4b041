import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fingerprintOf, keepSelfSigned, readTlsFiles } from './index.ts'

const NOW = Date.now()
const DAY = 24 * 3_600_000
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relay-tls-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('the self-signed certificate', () => {
  test('is made once, kept with mode 0600, and is for the hosts asked for', async () => {
    const hosts = ['relay.example', '203.0.113.7', '2001:db8::7']
    const first = await keepSelfSigned(folder, hosts, NOW)
    expect(await keepSelfSigned(folder, hosts, NOW)).toEqual(first)
    expect(fingerprintOf(await keepSelfSigned(folder, hosts, NOW))).toBe(fingerprintOf(first))
    const x509 = new X509Certificate(first.cert)
    expect(x509.checkHost('relay.example')).toBeDefined()
    expect(x509.checkIP('203.0.113.7')).toBeDefined()
    expect(x509.checkIP('2001:db8::7')).toBeDefined()
    expect((await stat(join(folder, 'relay-tls.pem'))).mode & 0o777).toBe(0o600)
  })

  test('may cover a domain and what is under it, and is kept then too', async () => {
    const hosts = ['203.0.113.7', 't.example', '*.t.example']
    const first = await keepSelfSigned(folder, hosts, NOW)
    expect(new X509Certificate(first.cert).checkHost('jupyter--a.t.example')).toBeDefined()
    expect(await keepSelfSigned(folder, hosts, NOW)).toEqual(first)
  })

  test('is made anew for other hosts, and before it ends', async () => {
    const first = fingerprintOf(await keepSelfSigned(folder, ['a.example'], NOW))
    const second = fingerprintOf(await keepSelfSigned(folder, ['b.example'], NOW))
    const third = fingerprintOf(await keepSelfSigned(folder, ['b.example'], NOW + 380 * DAY))
    expect(new Set([first, second, third]).size).toBe(3)
  })

  test('a file that is none of ours is said and left alone', async () => {
    const path = join(folder, 'relay-tls.pem')
    for (const content of ['', 'hello', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n']) {
      await writeFile(path, content)
      await expect(keepSelfSigned(folder, ['a'], NOW)).rejects.toMatchObject({ code: 'state-corrupt' })
      expect(await readFile(path, 'utf8')).toBe(content)
    }
  })
})

test('certificate files that cannot be read or do not fit are refused with what to do', async () => {
  const [cert, key] = [join(folder, 'c.pem'), join(folder, 'k.pem')]
  await expect(readTlsFiles(cert, key)).rejects.toMatchObject({ code: 'bad-config' })
  await rm(join(folder, 'relay-tls.pem'))
  const one = await keepSelfSigned(folder, ['a'], NOW)
  const other = await keepSelfSigned(folder, ['b'], NOW)
  await writeFile(cert, one.cert)
  await writeFile(key, other.key)
  await expect(readTlsFiles(cert, key)).rejects.toMatchObject({ code: 'bad-config', hint: expect.any(String) })
  await writeFile(key, one.key)
  expect(await readTlsFiles(cert, key)).toEqual({ cert: one.cert, key: one.key })
})
