import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { runStep } from '../../setup/step.ts'
import { checkout } from '../lab/index.ts'
import { ensureRay } from '../runtime/index.ts'

const SECONDS = 180
const runtime = ensureRay()
const can = runtime !== undefined && process.getuid?.() === 0 && existsSync('/lib/systemd/systemd')

// The relay's and the worker's units, with the drop-in for leases, under a real systemd.
test.skipIf(!can)(
  'the units run, and their worker can be hired',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ropewalk-units-'))
    try {
      const machine = join(import.meta.dirname, 'machine.sh')
      const own = ['unshare', '-pmnuC', '--fork', '--kill-child', 'bash', machine]
      const words = [String(SECONDS), ...own, checkout, dirname(runtime ?? ''), folder]
      const { output } = await runStep('timeout', words, { cwd: checkout })
      const said = await readFile(join(folder, 'inside'), 'utf8').catch(() => output)
      console.log(said)
      expect(said).toMatch(/^nodes: 1$/m)
      expect(said).toMatch(/^peer: inactive success$/m)
      expect(said).toMatch(/^relay: active$/m)
      expect(said).toMatch(/^left: 0 processes, 0 tables, 0 files$/m)
      expect(said).not.toMatch(/EACCES|EPERM|permission/i)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  240_000,
)
