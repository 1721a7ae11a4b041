import { join } from 'node:path'
import { runStep } from '../../setup/step.ts'
import { type RunOptions, root, type Tally } from './tally.ts'

/** The engine's own tests. The dev profile: it compiles in a third of release's time and runs at opt-level 1. */
export async function cargoTests({ slow }: RunOptions): Promise<Tally> {
  console.log('── cargo test')
  const args = ['test', '--locked', '--no-fail-fast', '--quiet', ...(slow ? ['--', '--include-ignored'] : [])]
  const { code, output, seconds } = await runStep('cargo', args, { cwd: join(root, 'node-wireguard'), live: true })
  const sums = [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)]
  const sum = (group: number) => sums.reduce((total, match) => total + Number(match[group]), 0)
  const failed = sum(2)
  const broken = code !== 0 && failed === 0
  return {
    name: 'engine (cargo)',
    passed: sum(1),
    failed: broken ? 1 : failed,
    skipped: sum(3),
    seconds,
    notes: broken ? [`cargo test ended with ${code}; its messages are above`] : [],
  }
}
