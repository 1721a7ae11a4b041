import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInvite, ensureIdentity, openState } from '@ropewalk/peer/state'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../lab/index.ts'
import { MeshWorld, NETWORK } from './mesh-world.ts'

let mesh: MeshWorld

beforeAll(async () => {
  mesh = await MeshWorld.open()
  await mesh.start('worker-a', { args: ['--expose', 'web=8000'] })
  await mesh.ready('worker-a')
}, 60_000)

afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]()
}, 30_000)

/** `ropewalk up` of somebody who must be refused: its exit code and what it said. */
async function refused(node: string, state: string, args: readonly string[]): Promise<{ code: number; said: string }> {
  const { code, stderr } = await mesh
    .node(node)
    .exec(process.execPath, ['peer/bin/ropewalk.mjs', 'up', '--state', join(mesh.folder, state), ...args], {
      mayFail: true,
      timeoutMs: 25_000,
    })
  return { code, said: stderr }
}

/** What the relay's log says of those whom it refused. */
function refusals(): string[] {
  const lines = mesh.running('relay').output().split('\n')
  return lines.filter((line) => line.includes('refused an applicant'))
}

describe('who does not belong stays out, and hears why', () => {
  test('without a ticket', async () => {
    const { code, said } = await refused('engineer', 'nobody', [])
    expect([code, said]).toEqual([2, expect.stringContaining('[state-missing]')])
  })

  test('with half a ticket, or a tampered one', async () => {
    const ticket = await readFile(await mesh.ticket('half'), 'utf8')
    const broken = [
      ticket.slice(0, 200),
      `${ticket.slice(0, 300)}${ticket[300] === 'A' ? 'B' : 'A'}${ticket.slice(301)}`,
    ]
    for (const [index, text] of broken.entries()) {
      const file = join(mesh.folder, `broken-${index}.ticket`)
      await writeFile(file, text)
      const { code, said } = await refused('engineer', `broken-${index}`, ['--ticket-file', file])
      expect([code, said]).toEqual([
        expect.toSatisfy((exit: number) => exit === 2 || exit === 5),
        expect.stringMatching(/\[bad-ticket\]|\[bad-statement\]|\[bad-signature\]/),
      ])
    }
  }, 60_000)

  test('with a ticket whose time is over', async () => {
    const hourAgo = { nowMs: Date.now() - 3_600_000, expiresInMs: 60_000 }
    const ticket = join(mesh.folder, 'late.ticket')
    await writeFile(ticket, await createInvite(await openState(mesh.state('admin')), hourAgo))
    const { code, said } = await refused('engineer', 'late', ['--ticket-file', ticket])
    expect([code, said]).toEqual([5, expect.stringContaining('[ticket-expired]')])
  }, 60_000)

  test('with a ticket that was used as often as it may be', async () => {
    const { code, said } = await refused('engineer', 'twice', ['--ticket-file', join(mesh.folder, 'worker-a.ticket')])
    expect([code, said]).toEqual([5, expect.stringMatching(/\[ticket-used\]|\[name-taken\]/)])
    expect(refusals()).toContainEqual(expect.stringMatching(/"code":"(ticket-used|name-taken)"/))
  }, 60_000)

  test('with a name that another holds', async () => {
    const ticket = join(mesh.folder, 'free.ticket')
    const { stdout } = await mesh.admin(['invite'])
    await writeFile(ticket, stdout)
    const { code, said } = await refused('engineer', 'namesake', ['--ticket-file', ticket, '--name', 'worker-a'])
    expect([code, said]).toEqual([5, expect.stringContaining('[name-taken]')])
    expect(refusals()).toContainEqual(expect.stringContaining('"code":"name-taken"'))
  }, 60_000)

  test('with a WireGuard key that another holds', async () => {
    const [owner, thief] = await Promise.all([openState(mesh.state('worker-a')), openState(join(mesh.folder, 'thief'))])
    const { nodeKey } = await ensureIdentity(thief)
    const { wireguardKeys } = await ensureIdentity(owner)
    await thief.identity.update(() => ({ nodeKey, wireguardKeys }))
    const { code, said } = await refused('engineer', 'thief', ['--ticket-file', await mesh.ticket('thief')])
    expect([code, said]).toEqual([5, expect.stringContaining('[key-taken]')])
    expect(refusals()).toContainEqual(expect.stringContaining('"code":"key-taken"'))
  }, 60_000)

  test("with another network's ticket on this network's folder", async () => {
    const other = join(mesh.folder, 'other-admin')
    const run = (args: readonly string[]) =>
      mesh.node('relay').exec(process.execPath, ['peer/bin/ropewalk.mjs', ...args, '--state', other])
    await run(['network', 'create', 'other'])
    await run(['invite', '--relay', '--name', 'r', '--public-host', '192.0.2.1'])
    const ticket = join(mesh.folder, 'other.ticket')
    await writeFile(ticket, (await run(['invite', '--name', 'x'])).stdout)
    await mesh.start('worker-c')
    await mesh.ready('worker-c')
    await mesh.ropewalk('worker-c', ['down'])
    await mesh.running('worker-c').ended
    const { code, said } = await refused('worker-c', 'worker-c', ['--ticket-file', ticket])
    expect([code, said]).toEqual([5, expect.stringContaining('[wrong-network]')])
  }, 60_000)
})

/** An echo service for streams that stay open. */
const ECHO =
  "net.createServer((s) => s.on('error', () => {}).pipe(s)).listen(8000, '127.0.0.1', () => console.log('listening'))"

describe('a revoked member', () => {
  test('loses its links and its streams within 2 s, and does not come back', async () => {
    await Promise.all([mesh.start('worker-b', { args: ['--expose', 'web=8000'] }), mesh.start('engineer')])
    await Promise.all([mesh.ready('worker-b'), mesh.ready('engineer'), mesh.startAdmin()])
    await mesh
      .node('worker-b')
      .spawn(process.execPath, ['-e', ECHO])
      .says(/listening/)
    await mesh.untilLink('engineer', 'worker-b', 'direct', 20_000)
    const streams = await Promise.all(
      ['mesh', 'tunnel'].map(async (via) => {
        const stream = mesh.spawn('engineer', ['ssh-proxy', 'worker-b', 'web', '--via', via], { stdio: 'pipe' })
        stream.child.stdin?.on('error', () => {}).write('hello\n')
        await stream.says(/hello/)
        return stream
      }),
    )
    const { stdout } = await mesh.admin(['revoke', 'worker-b', '-o', 'json'])
    expect(JSON.parse(stdout)).toMatchObject({ version: 1, revoked: 'worker-b', spread: true })
    const toldAt = performance.now()
    const seconds = () => (performance.now() - toldAt) / 1000
    const cut = until(10_000, 'the engineer to cut worker-b', async () => {
      const { code } = await mesh
        .node('engineer')
        .exec('ping', ['-c', '1', '-W', '1', `worker-b.${NETWORK}.internal`], { mayFail: true })
      return code === 0 ? null : true
    }).then(seconds)
    const ends = await Promise.all(streams.map(({ ended }) => ended.then(seconds)))
    const link = await cut
    console.log(
      `after a revocation: the stream by mesh ended at ${ends[0]?.toFixed(2)} s, by tunnel at ${ends[1]?.toFixed(2)} s, an echo had failed at ${link.toFixed(2)} s`,
    )
    expect(Math.max(...ends)).toBeLessThan(2)
    expect(link).toBeLessThan(3) // 2 s, and the second that the failing echo waits
    const { warnings } = await mesh.json<{ warnings: { code: string }[] }>('worker-b', ['status'])
    expect(warnings).toContainEqual(expect.objectContaining({ code: 'revoked' }))
    await mesh.ropewalk('worker-b', ['down'])
    await mesh.running('worker-b').ended
    const { code, said } = await refused('worker-b', 'worker-b', [])
    expect([code, said]).toEqual([5, expect.stringContaining('[revoked]')])
  }, 90_000)
})
