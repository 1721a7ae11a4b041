import { type DemoNetwork, ENGINEER, type Progress, SERVICE, WORKERS } from './network.ts'
import { run } from './program.ts'

const REQUEST = 'GET / HTTP/1.0\r\nHost: demo\r\n\r\n'

interface Step {
  readonly from: string
  readonly to: string
  readonly via: 'mesh' | 'tunnel'
}

/** What the demo claims: each is asked for with a real request, and the answer must name the worker that was meant. */
const STEPS: readonly Step[] = [
  { from: WORKERS[0], to: WORKERS[1], via: 'mesh' },
  { from: WORKERS[2], to: WORKERS[0], via: 'mesh' },
  ...WORKERS.map((to) => ({ from: ENGINEER, to, via: 'tunnel' as const })),
]

/** Proves the network; one line for each step. Returns the sentences that say what failed: none when all is well. */
export async function prove(network: DemoNetwork, progress: Progress, signal: AbortSignal): Promise<string[]> {
  const failures: string[] = []
  for (const { from, to, via } of STEPS) {
    const began = performance.now()
    const args = ['ssh-proxy', to, SERVICE, '--via', via, '--state', network.state(from), '--timeout', '15s']
    const { code, stdout, stderr } = await run('ropewalk', args, { input: REQUEST, signal })
    signal.throwIfAborted()
    const elapsed = Math.round(performance.now() - began)
    if (code === 0 && stdout.endsWith(`hello from ${to}\n`)) {
      progress(`${from} → ${to} by ${via}: “hello from ${to}” (${elapsed} ms)`)
    } else {
      failures.push(
        `${from} → ${to} by ${via} failed (exit ${code}): ${stderr.trim() || 'another answer than expected'}`,
      )
    }
  }
  return failures
}
