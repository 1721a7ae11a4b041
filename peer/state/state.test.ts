import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { parseName } from '@ropewalk/shared/identity'
import { openInvite, openPolicy, parseTicket, verifyMember } from '@ropewalk/shared/membership'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  acceptTicket,
  createDiscoveryMemory,
  createInvite,
  createNetwork,
  createRelayInvite,
  createToken,
  ensureIdentity,
  ensureRootMembership,
  openState,
  requireNetwork,
  revoke,
  type State,
  setPolicy,
} from './index.ts'

const NOW = 1_750_000_000_000
let root: string
let folder: string
let state: State

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-state-'))
  folder = join(root, 'state')
  state = await openState(folder)
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return 'done'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

const found = (where: State = state) => createNetwork(where, { name: parseName('demo'), nowMs: NOW })
const relayTicket = (where: State = state) =>
  createRelayInvite(where, { name: parseName('relay'), publicHost: '127.0.0.1', httpsPort: 4433, nowMs: NOW })

describe('the state folder', () => {
  test('keeps keys across openings, for its owner alone', async () => {
    const made = await ensureIdentity(state)
    const again = await ensureIdentity(await openState(folder))
    expect(again.nodeKey.nodeId).toBe(made.nodeKey.nodeId)
    expect(again.wireguardKeys.publicKey).toBe(made.wireguardKeys.publicKey)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    for (const file of await readdir(folder)) expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600)
  })

  test('of another program is refused and left as it is', async () => {
    await writeFile(join(root, 'notes.txt'), 'mine')
    expect(await codeOf(openState(root))).toBe('state-foreign')
    expect(await readFile(join(root, 'notes.txt'), 'utf8')).toBe('mine')
  })

  test('half-written, foreign, emptied and newer files are told apart and never overwritten', async () => {
    await ensureIdentity(state)
    const good = await readFile(state.identity.path)
    const newer = Buffer.from(good.toString().replace('"format":1', '"format":2'))
    const flipped = Buffer.from(good)
    flipped[flipped.length - 5] = (flipped[flipped.length - 5] ?? 0) ^ 1
    const cases: [Buffer, string][] = [
      [good.subarray(0, good.length - 10), 'state-corrupt'],
      [good.subarray(0, 20), 'state-corrupt'],
      [Buffer.alloc(0), 'state-corrupt'],
      [Buffer.alloc(100), 'state-corrupt'],
      [flipped, 'state-corrupt'],
      [Buffer.from('[wireguard]\nkey = 1\n'), 'state-foreign'],
      [Buffer.from(good.toString().replace('"identity"', '"root"')), 'state-foreign'],
      [newer, 'version-mismatch'],
    ]
    for (const [bytes, code] of cases) {
      await writeFile(state.identity.path, bytes)
      expect(await codeOf(state.identity.read())).toBe(code)
      expect(await codeOf(ensureIdentity(state))).toBe(code)
      expect(await readFile(state.identity.path)).toEqual(bytes)
    }
  })

  test('content that fits no schema counts as damaged', async () => {
    await state.ports.write({ listen: 4_000 })
    const other = await openState(join(root, 'other'))
    await other.services.write([{ name: 'ssh', port: 22, protocol: 'tcp', http: false }])
    const file = (await readFile(other.services.path)).toString().replace('"services"', '"ports"')
    await writeFile(state.ports.path, file)
    expect(await codeOf(state.ports.read())).toBe('state-corrupt')
  })

  test('is held by one peer at a time, and free again when it lets go', async () => {
    const lock = await state.lockForPeer()
    expect(await codeOf((await openState(folder)).lockForPeer())).toBe('state-locked')
    lock.release()
    lock.release()
    ;(await state.lockForPeer()).release()
  })

  test('held by a process that is killed is free at once', async () => {
    const program = `import { openState } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      await (await openState(process.argv[1])).lockForPeer(); console.log('held'); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    const busy = state.lockForPeer()
    expect(await codeOf(busy)).toBe('state-locked')
    await expect(busy).rejects.toThrow(String(child.pid))
    child.kill('SIGKILL')
    await once(child, 'exit')
    ;(await state.lockForPeer()).release()
  })

  test('updates of two openings lose nothing', async () => {
    const two = await openState(folder)
    const add = (where: State, port: number) => where.ports.update((held = {}) => ({ ...held, [`p${port}`]: port }))
    await Promise.all(Array.from({ length: 20 }, (_, i) => add(i % 2 === 0 ? state : two, i + 1)))
    expect(Object.keys((await state.ports.read()) ?? {})).toHaveLength(20)
  })

  test('tells a running peer what a command writes', async () => {
    await found()
    const heard = Promise.withResolvers<string>()
    const stop = state.watch(heard.resolve)
    await setPolicy(await openState(folder), Uint8Array.of(1), NOW)
    expect(await heard.promise).toBe('policy')
    stop()
  })
})

describe('network create, invite, revoke', () => {
  test('a network is made once, and its root peer is a member', async () => {
    const network = await found()
    expect(await codeOf(found())).toBe('conflict')
    await ensureRootMembership(state, { name: parseName('admin'), nowMs: NOW })
    const { bundle } = (await state.membership.read()) ?? {}
    if (bundle === undefined) throw new Error('no membership')
    const member = verifyMember(bundle, { network, nowMs: NOW, mayAdmit: () => false })
    expect(member).toMatchObject({ name: 'admin', rights: ['admit', 'hire'] })
  })

  test('an invite needs a way in, and knows the relay that a ticket was made for', async () => {
    await found()
    expect(await codeOf(createInvite(state, { nowMs: NOW }))).toBe('conflict')
    const relay = parseTicket(await relayTicket(), NOW)
    const ticket = parseTicket(await createInvite(state, { name: parseName('worker-a'), nowMs: NOW }), NOW)
    if (relay.kind !== 'relay') throw new Error('no relay')
    expect(ticket.waysIn).toEqual([{ kind: 'relay', url: 'https://127.0.0.1:4433/', nodeId: relay.nodeKey.nodeId }])
    const via = await createInvite(state, { via: ['https://127.0.0.1:4433'], nowMs: NOW })
    expect(parseTicket(via).waysIn).toEqual(ticket.waysIn)
    expect(await codeOf(createInvite(state, { via: ['https://elsewhere'], nowMs: NOW }))).toBe('bad-input')
  })

  test('a ticket makes an application, once, and only on a folder of its network', async () => {
    await found()
    await relayTicket()
    const ticket = await createInvite(state, { name: parseName('worker-a'), nowMs: NOW })
    const worker = await openState(join(root, 'worker'))
    await acceptTicket(worker, ticket, { name: parseName('ignored'), nowMs: NOW })
    const first = await worker.membership.read()
    await acceptTicket(worker, `  ${ticket}\n`, { name: parseName('ignored'), nowMs: NOW + 1e12 })
    expect(await worker.membership.read()).toEqual(first)
    expect(first?.application?.attempt).toBe(0)
    const memory = await createDiscoveryMemory(worker, await requireNetwork(worker))
    const tried = new Set<string>()
    for (let next = await memory.nextBundle(); next !== undefined; next = await memory.nextBundle()) {
      tried.add(Buffer.from(next.certificate).toString('hex'))
    }
    expect(tried.size).toBe(15)

    const elsewhere = await openState(join(root, 'elsewhere'))
    await found(elsewhere)
    expect(await codeOf(acceptTicket(elsewhere, ticket, { name: parseName('x'), nowMs: NOW }))).toBe('wrong-network')
    expect(
      await codeOf(
        acceptTicket(await openState(join(root, 'late')), ticket, {
          name: parseName('x'),
          nowMs: NOW + 2 * 86_400_000,
        }),
      ),
    ).toBe('ticket-expired')
  })

  test('a relay’s ticket brings keys and membership, and does not go over another key', async () => {
    await found()
    const ticket = await relayTicket()
    const relay = await openState(join(root, 'relay'))
    await acceptTicket(relay, ticket, { name: parseName('x'), nowMs: NOW })
    expect((await relay.membership.read())?.relayUrl).toBe('https://127.0.0.1:4433/')
    const used = await openState(join(root, 'used'))
    await ensureIdentity(used)
    expect(await codeOf(acceptTicket(used, ticket, { name: parseName('x'), nowMs: NOW }))).toBe('state-foreign')
  })

  test('revoke finds a relay or ticket by name and raises the seq; only the root may', async () => {
    const network = await found()
    await relayTicket()
    const invite = await createInvite(state, { name: parseName('worker-a'), nowMs: NOW })
    expect(await codeOf(revoke(state, 'nobody', NOW))).toBe('unknown-peer')
    const one = await revoke(state, 'worker-a', NOW)
    expect([...one.invites.keys()]).toEqual([openInvite(network, parseTicket(invite).invite.bytes).body.id])
    const two = await revoke(state, 'relay', NOW + 1)
    expect([two.seq, two.nodes.size, two.invites.size]).toEqual([2, 1, 2])
    const worker = await openState(join(root, 'worker'))
    await acceptTicket(worker, invite, { name: parseName('x'), nowMs: NOW })
    expect(await codeOf(revoke(worker, 'relay', NOW))).toBe('missing-right')
    expect(await codeOf(createInvite(worker, { nowMs: NOW }))).toBe('missing-right')
  })

  test('an older statement from the network never replaces a newer one of a command', async () => {
    const network = await found()
    const old = await setPolicy(state, Uint8Array.of(1), NOW)
    await setPolicy(state, Uint8Array.of(2), NOW)
    await (await createDiscoveryMemory(state, network)).savePolicy(old.bytes)
    expect(openPolicy(network, (await state.policy.read()) ?? new Uint8Array()).seq).toBe(2)
  })

  test('no secret of a token is kept', async () => {
    await found()
    const token = await createToken(state, { scopes: ['read'], expiresInMs: 1_000, nowMs: NOW })
    expect(await readFile(state.tokens.path, 'utf8')).not.toContain(token.slice(10, 60))
  })
})
