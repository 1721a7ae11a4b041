import { existsSync } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pack, readmeExample } from './packed.ts'

/** It compiles the engine and all that it is made of; far more than that takes on a machine of its own. */
const BUILD_TIMEOUT_MS = 30 * 60_000
/** With debug lines it would be ten times as much. */
const MOST_ENGINE_BYTES = 8 << 20

test(
  'builds itself from the sources in the package where no ready-built engine is installed',
  async () => {
    await using packed = await pack()
    const options = { cargo: true, timeoutMs: BUILD_TIMEOUT_MS }
    const at = await packed.installed('source', packed.tarballs.slice(0, 1), ['--omit=optional'], options)
    const inside = (path: string) => join(at, 'node_modules/node-wireguard', path)
    await writeFile(join(at, 'example.js'), await readmeExample(at))
    const { stdout } = await packed.run(at, [process.execPath, 'example.js'])
    expect(stdout).toBe('hello through the tunnel\n')
    const command = await packed.run(at, [join(at, 'node_modules/.bin/node-wireguard'), '--version'])
    expect(command.stdout).toMatch(/^node-wireguard \d/)
    expect((await stat(inside('dist/engine.node'))).size).toBeLessThan(MOST_ENGINE_BYTES)
    expect(existsSync(inside('target'))).toBe(false)
    await packed.run(at, ['npm', 'rebuild', 'node-wireguard']) // has nothing to do: there is no cargo
  },
  BUILD_TIMEOUT_MS + 60_000,
)
