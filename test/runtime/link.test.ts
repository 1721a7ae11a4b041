import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkout, type LabNode, type LabProcess, up, type World } from '../lab/index.ts'

const ROPEWALK = join(checkout, 'peer/bin/ropewalk.mjs')
const LINK_END = join(checkout, 'test/runtime/programs/link-end.ts')

let world: World
let a: LabNode
let b: LabNode
let asker: LabProcess

beforeAll(async () => {
  world = await up('two-hosts')
  ;[a, b] = [world.node('a'), world.node('b')]
  const folder = await world.folder()
  const states = { a: join(folder, 'a'), b: join(folder, 'b') }
  const admin = (words: readonly string[]) => a.exec(process.execPath, [ROPEWALK, ...words, '--state', states.a])
  await admin(['network', 'create', 'lab'])
  const [, nodeId] = await a.spawn(process.execPath, [LINK_END, 'answer', states.a]).says(/answering, node (\S+)/)
  const { stdout } = await admin(['invite', '--via', `/ip4/${a.address}/tcp/4100/p2p/${nodeId}`])
  asker = b.spawn(process.execPath, [LINK_END, 'measure', states.b, stdout.trim()], { stdio: ['pipe', 'pipe', 'pipe'] })
  await asker.says(/ready/)
}, 60_000)

afterAll(() => world?.down())

/** Measures now, by a whole peer's links. */
async function measure(): Promise<{ upMbps: number; downMbps: number; tier: string }> {
  const from = asker.output().length
  const { promise, resolve } = Promise.withResolvers<string>()
  const look = (): void => {
    const line = /^\{.*\}$/m.exec(
      asker
        .output()
        .slice(from)
        .replaceAll(/^\{"level".*$/gm, ''),
    )?.[0]
    if (line !== undefined) resolve(line)
  }
  asker.child.stdout?.on('data', look)
  asker.child.stdin?.write('\n')
  return JSON.parse(await promise)
}

test.each([
  { mbit: 2, tier: 'low', least: 0.5 },
  { mbit: 150, tier: 'medium', least: 0.7 },
])(
  'a line of $mbit Mbit/s is measured as one, and is of tier $tier',
  async ({ mbit, tier, least }) => {
    await world.link('b').restore()
    await world.link('b').rate(mbit)
    const link = await measure()
    console.log(`${mbit} Mbit/s: ${JSON.stringify(link)}`)
    for (const mbps of [link.upMbps, link.downMbps]) {
      expect(mbps).toBeGreaterThan(least * mbit)
      expect(mbps).toBeLessThan(1.2 * mbit)
    }
    expect(link.tier).toBe(tier)
  },
  30_000,
)
