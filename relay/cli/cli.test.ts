import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { runProgram } from '@ropewalk/peer/cli'
import { createInvite, createNetwork, openState } from '@ropewalk/peer/state'
import { generateSigningKey, parseName } from '@ropewalk/shared/identity'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseListen, serve } from './index.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relay-cli-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Runs the command line as the process would, without the process. */
async function run(...argv: string[]): Promise<{ code: number; said: string; result: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const io = { stdin: new PassThrough(), stdout, stderr, env: { HOME: folder }, userId: 1000 }
  const code = await runProgram(
    { name: 'ropewalk-relay', version: '0', description: '', groups: {}, commands: [], only: serve('0') },
    ['--state', join(folder, 'state'), ...argv],
    { ...io, signal: new AbortController().signal },
  )
  return { code, said: String(stderr.read() ?? ''), result: String(stdout.read() ?? '') }
}

describe('a relay refuses to start insecurely', () => {
  test('without a choice of TLS', async () => {
    const { code, said } = await run()
    expect([code, said]).toEqual([2, expect.stringMatching(/\[insecure-config\]\n {2}try: add --tls-self-signed/)])
  })

  test('without TLS on a public address, whatever its form', async () => {
    for (const listen of ['443', '0.0.0.0:443', '[::]:443', '203.0.113.7:443']) {
      const { code, said } = await run('--insecure-loopback', '--listen', listen)
      expect([code, said], listen).toEqual([2, expect.stringContaining('[insecure-config]')])
    }
  })

  test('with half a choice, or two', async () => {
    for (const options of [
      ['--tls-cert', 'c'],
      ['--tls-key', 'k'],
      ['--tls-self-signed', '--insecure-loopback'],
    ]) {
      const { code, said } = await run(...options)
      expect([code, said]).toEqual([2, expect.stringContaining('[bad-usage]')])
    }
  })
})

describe('a relay says what is wrong before it does anything', () => {
  test.each([
    [['--listen', 'relay.example:443'], 'bad-usage'],
    [['--listen', '127.0.0.1:0'], 'bad-usage'],
    [['--udp-port', '70000'], 'bad-usage'],
    [['--listen-port', 'x'], 'bad-usage'],
    [['--domain', 'a..b'], 'bad-usage'],
    [['--ticket-file', '/nowhere/ticket'], 'bad-usage'],
    [[], 'state-missing'],
  ])('%j is %s', async (options, code) => {
    const answer = await run('--tls-self-signed', ...options)
    expect([answer.code, answer.said, answer.result]).toEqual([2, expect.stringContaining(`[${code}]`), ''])
  })

  test('a worker’s or a broken ticket', async () => {
    const file = join(folder, 'ticket')
    await writeFile(file, 'ropewalk1:AAAA')
    const { code, said } = await run('--tls-self-signed', '--ticket-file', file)
    expect([code, said]).toEqual([2, expect.stringContaining('[bad-ticket]')])
  })

  test('a worker’s ticket, and leaves the folder as it is', async () => {
    const admin = await openState(join(folder, 'admin'))
    await createNetwork(admin, { name: parseName('lab'), nowMs: Date.now() })
    const file = join(folder, 'worker.ticket')
    await writeFile(
      file,
      await createInvite(admin, { via: [`https://relay.example/#${generateSigningKey().nodeId}`], nowMs: Date.now() }),
    )
    const { code, said } = await run('--tls-self-signed', '--ticket-file', file, '--state', join(folder, 'fresh'))
    expect([code, said]).toEqual([2, expect.stringContaining('[bad-ticket]')])
    expect(existsSync(join(folder, 'fresh'))).toBe(false)
  })

  test('as JSON on stdout when that is asked for', async () => {
    const { code, result } = await run('-o', 'json')
    expect([code, JSON.parse(result)]).toMatchObject([2, { version: 1, error: { code: 'insecure-config' } }])
  })
})

test('addresses to listen on are read in every usual form', () => {
  expect(parseListen('443')).toEqual({ address: '0.0.0.0', port: 443 })
  expect(parseListen('127.0.0.1:8443')).toEqual({ address: '127.0.0.1', port: 8443 })
  expect(parseListen('[::1]:443')).toEqual({ address: '::1', port: 443 })
})
