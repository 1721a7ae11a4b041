import { join } from 'node:path'
import { styleText } from 'node:util'
import type { ClusterView } from '@ropewalk/shared/api'
import {
  ENGINEER,
  type ExampleResult,
  exampleResult,
  type MeshWorld,
  openHiringWorld,
  WORKERS,
} from '../../test/e2e/index.ts'
import { checkout } from '../../test/lab/index.ts'
import { timedLines } from '../timed-lines.ts'

const CLUSTER = 'one'
const EXAMPLES = join(checkout, 'examples')
const PROGRAM = 'batch_inference.py'
const STEP_TIMEOUT_MS = 300_000
/** What each worker gives: little, so that three of them find room on a laptop. */
const SHARE = ['--cpus', '1', '--memory', '2GiB'] as const

export interface ShowOptions {
  /** End after the proof. */
  readonly once: boolean
  /** Ctrl-C. */
  readonly signal: AbortSignal
}

/** Brings a network and a cluster up, proves it by a job, and stays until it is told to end. Gives the exit code. */
export async function showCluster({ once, signal }: ShowOptions): Promise<number> {
  const say = timedLines()
  await using mesh = await openHiringWorld([ENGINEER], { progress: say, signal })
  await run(mesh, ['cluster', 'create', CLUSTER, '--workers', String(WORKERS.length), ...SHARE, '--for', '8h'], {
    line: say,
    signal,
  })
  say(`submitting examples/${PROGRAM} from the engineer's laptop`)
  const words = ['--working-dir', EXAMPLES, '--', 'python', PROGRAM]
  const output = await run(mesh, ['job', 'submit', '--cluster', CLUSTER, ...words], { line: console.log, signal })
  const result = exampleResult(output)
  for (const line of await proof(mesh, result)) say(`${styleText('green', 'proved')}  ${line}`)
  if (once) return 0
  suggest(mesh, result)
  const failure = await ended(mesh, signal)
  console.log('stopping')
  if (failure === undefined) return 0
  console.error(`${styleText('red', 'failed')}  ${failure}`)
  return 1
}

interface RunOptions {
  /** Hears of each line that the command prints, on whatever stream. */
  readonly line: (line: string) => void
  readonly signal: AbortSignal
}

/** A command of the engineer's, shown as it goes. @throws Error when it fails */
async function run(mesh: MeshWorld, words: readonly string[], { line, signal }: RunOptions): Promise<string> {
  signal.throwIfAborted()
  const command = mesh.spawn(ENGINEER, words)
  const stop = () => void command.stop()
  signal.addEventListener('abort', stop, { once: true })
  const late = setTimeout(stop, STEP_TIMEOUT_MS)
  for (const stream of [command.child.stdout, command.child.stderr]) {
    let rest = ''
    stream?.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const each of lines) line(each)
    })
  }
  const { code } = await command.ended
  clearTimeout(late)
  signal.removeEventListener('abort', stop)
  signal.throwIfAborted()
  if (code === 0) return command.output()
  throw new Error(
    `ropewalk ${words.slice(0, 2).join(' ')} ended with ${code}: ${command.output().trim().slice(-2_000)}`,
  )
}

/** Which workers computed, by Ray's ids of its nodes and what the hirer knows of them. */
async function proof(mesh: MeshWorld, { nodes }: ExampleResult): Promise<string[]> {
  const { cluster } = await mesh.json<{ cluster: ClusterView }>(ENGINEER, ['cluster', 'show', CLUSTER])
  const lines = cluster.workers.flatMap(({ name, address, rayNode }) => {
    const batches = rayNode == null ? undefined : nodes[rayNode]
    return batches === undefined ? [] : [`${name} (${address}) classified ${batches} batches`]
  })
  if (lines.length < 2) throw new Error(`only ${lines.length} of ${cluster.workers.length} workers computed`)
  return lines
}

function suggest(mesh: MeshWorld, { served }: ExampleResult): void {
  const state = `--state ${mesh.state(ENGINEER)}`
  const submit = `npx ropewalk job submit --working-dir examples ${state}`
  console.log(`
Try, in another terminal of this folder:
  npx ropewalk cluster show ${CLUSTER} ${state}
  npx ropewalk devices ${state}
  npx ropewalk cluster open dashboard ${state}
  ${submit} -- python cart_pole.py
  ${submit} --no-wait -- python batch_inference.py --serve 600
  npx ropewalk forward ${WORKERS[1]} 9000:${servedPort(served)} ${state}      then: curl -d 'import os' http://127.0.0.1:9000
Ctrl-C ends everything and removes ${mesh.folder}.`)
}

/** The port that each node served on: in a new world the same everywhere. */
function servedPort(served: unknown): string {
  return /:(\d+)\//.exec(String(served))?.[1] ?? 'PORT'
}

/** Waits for Ctrl-C; gives a sentence if a process of the network ends before. */
async function ended(mesh: MeshWorld, signal: AbortSignal): Promise<string | undefined> {
  const stopped = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const died = [...WORKERS, ENGINEER].map(async (name) => {
    const { code } = await mesh.running(name).ended
    return `${name} ended by itself (${code ?? 'by a signal'}): ${mesh.running(name).output().slice(-1_000)}`
  })
  return Promise.race([stopped, ...died])
}
