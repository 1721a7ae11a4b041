import { chmod, mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { CORPUS, damaged, heldBytes } from '@ropewalk/shared/hostile'
import { parseName } from '@ropewalk/shared/identity'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Document } from './document.ts'
import { wrapContent } from './envelope.ts'
import { createNetwork, createRelayInvite, ensureRootMembership, openState, type State } from './index.ts'

const NOW = 1_750_000_000_000

let root: string
let state: State
let documents: readonly (readonly [string, Document<unknown>])[]

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-hostile-'))
  state = await openState(join(root, 'state'))
  await createNetwork(state, { name: parseName('demo'), nowMs: NOW })
  await ensureRootMembership(state, { name: parseName('admin'), nowMs: NOW })
  await createRelayInvite(state, { name: parseName('relay'), publicHost: '127.0.0.1', httpsPort: 4_433, nowMs: NOW })
  await state.ports.write({ listen: 4_000 })
  await state.services.write([{ name: 'ssh', port: 22, protocol: 'tcp', http: false }])
  await state.members.write([])
  const { identity, root: keys, network, membership, invites, ports, services, members } = state
  documents = Object.entries({ identity, keys, network, membership, invites, ports, services, members })
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return 'read'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

const REFUSALS = ['state-corrupt', 'state-foreign', 'version-mismatch']

test('twenty thousand damaged files are told as such, left as they are, and cost nothing', async () => {
  let before = 0
  for (const [at, [name, document]] of documents.entries()) {
    const good = await readFile(document.path)
    const kind = String(JSON.parse(good.subarray(0, good.indexOf(10)).toString()).ropewalk)
    const content = good.subarray(good.indexOf(10) + 1)
    // damage that the checksum finds, and content that has a good checksum and makes no sense
    const outside = fc.sample(damaged(good), { numRuns: 1_350, seed: at })
    const inside = [...CORPUS, ...fc.sample(damaged(content), { numRuns: 1_350, seed: at })]
    const files = [...outside, ...(name === 'network' ? [] : inside.map((raw) => wrapContent(kind, raw)))]
    for (const [index, file] of files.entries()) {
      await writeFile(document.path, file)
      const code = await codeOf(document.read())
      if (code !== 'read') expect(REFUSALS, `${name} ${index}`).toContain(code)
      if (code === 'read' || index % 100 !== 0) continue
      expect(REFUSALS).toContain(await codeOf(document.update(() => ({}))))
      expect(Buffer.compare(await readFile(document.path), file)).toBe(0)
    }
    await writeFile(document.path, good)
    expect(await codeOf(document.read())).toBe('read')
    if (at === 0) before = heldBytes()
  }
  expect(heldBytes() - before).toBeLessThan(8 * 1_024 * 1_024)
}, 180_000)

test('a folder where a file should be, and a file that may not be read, are said and not touched', async () => {
  for (const [name, document] of documents) {
    const good = await readFile(document.path)
    await rm(document.path)
    await mkdir(document.path)
    const code = await codeOf(document.read())
    expect(code, name).toBe('state-foreign')
    await rmdir(document.path)
    await writeFile(document.path, good, { mode: 0o644 })
    await chmod(document.path, 0o000)
    expect(await codeOf(document.read())).toBe(process.getuid?.() === 0 ? 'read' : 'permission-denied')
    await chmod(document.path, 0o600)
  }
})
