// npm run check: everything that can be said about the sources without running them.
import { dirname, join } from 'node:path'
import { checkFloors } from './floors.ts'
import { runStep } from './step.ts'

const root = dirname(import.meta.dirname)
const engine = join(root, 'node-wireguard')

interface Check {
  readonly name: string
  /** What is wrong, in lines; nothing when all is well. */
  readonly run: () => Promise<readonly string[]>
}

function command(cwd: string, name: string, ...args: string[]): Check {
  return {
    name: [name, ...args].join(' '),
    run: async () => {
      const { code, output } = await runStep(name, args, { cwd })
      return code === 0 ? [] : [output.trimEnd(), `ended with ${code}`]
    },
  }
}

const checks: readonly Check[] = [
  command(root, 'tsc', '--noEmit'),
  command(root, 'biome', 'ci', process.stdout.isTTY ? '--colors=force' : '--colors=off', '.'),
  { name: 'dependency-cruiser (floors, with planted violations)', run: () => checkFloors(root) },
  command(root, 'knip', '--no-progress'),
  command(engine, 'cargo', 'fmt', '--check'),
  command(engine, 'cargo', 'clippy', '--locked', '--quiet', '--all-targets', '--', '-D', 'warnings'),
]

let failed = 0
for (const { name, run } of checks) {
  const started = performance.now()
  const wrong = await run()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (wrong.length > 0) failed += 1
  console.log(`${wrong.length === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  for (const line of wrong) console.log(line.replace(/^/gm, '       '))
}
console.log(`${checks.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
