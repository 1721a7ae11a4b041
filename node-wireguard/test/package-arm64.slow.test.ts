import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const execute = promisify(execFile)
const folder = join(import.meta.dirname, '..')
const NAME = 'linux-arm64-gnu'
const BUILD_TIMEOUT_MS = 30 * 60_000
/** ELF: where the machine is named, and what it is called (EM_AARCH64). */
const [MACHINE_AT, AARCH64] = [18, 0xb7]

const missing = () => {
  const has = (command: string, ...words: string[]) => spawnSync(command, words, { encoding: 'utf8' }).stdout ?? ''
  if (!has('aarch64-linux-gnu-gcc', '--version')) return 'there is no aarch64-linux-gnu-gcc'
  const targets = has('rustup', 'target', 'list', '--installed')
  return targets.includes('aarch64-unknown-linux-gnu') ? undefined : 'Rust has no target aarch64-unknown-linux-gnu'
}
const reason = missing()
if (reason !== undefined) console.warn(`SKIPPED: the package for arm64, because ${reason}`)

test.skipIf(reason !== undefined)(
  'the engine for arm64 is built and packed on another machine',
  async () => {
    const home = await mkdtemp(join(tmpdir(), 'node-wireguard-arm64-'))
    try {
      const target = process.env.CARGO_TARGET_DIR ?? join(home, 'target')
      const run = (...words: string[]) =>
        execute(process.execPath, words, {
          cwd: folder,
          env: { ...process.env, CARGO_TARGET_DIR: target },
          timeout: BUILD_TIMEOUT_MS,
        })
      await run('build.mjs', '--platform', NAME)
      const { stdout } = await run('pack.mjs', home, NAME)
      expect(stdout).toContain(`node-wireguard-${NAME}-`)
      const packed = join(home, `node-wireguard-${NAME}`)
      expect(JSON.parse(await readFile(join(packed, 'package.json'), 'utf8'))).toMatchObject({
        name: `node-wireguard-${NAME}`,
        os: ['linux'],
        cpu: ['arm64'],
        libc: ['glibc'],
      })
      for (const file of ['engine.node', 'node-wireguard', 'node-wireguard-namespace']) {
        expect((await readFile(join(packed, file))).readUInt16LE(MACHINE_AT), file).toBe(AARCH64)
      }
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  },
  BUILD_TIMEOUT_MS + 60_000,
)
