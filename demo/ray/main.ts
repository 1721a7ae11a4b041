// `npm run demo:ray`: Ray on three workers of a network, in a world of network namespaces on this machine. As root, or as an
// ordinary user within a user namespace: then this program runs a second time, inside.
import { spawn } from 'node:child_process'
import { styleText } from 'node:util'
import { refusal } from './refusal.ts'
import { installRay } from './runtime.ts'
import { showCluster } from './show-cluster.ts'

/** Tells the second run that the first has looked at everything. */
const INSIDE = 'ROPEWALK_DEMO_INSIDE'
const AS_ROOT_OF_A_NAMESPACE = ['-Urnm', '--'] as const

const unknown = process.argv.slice(2).find((word) => word !== '--once')
if (unknown !== undefined) {
  console.error(`npm run demo:ray knows no “${unknown}”.\n  try: npm run demo:ray, or npm run demo:ray -- --once`)
  process.exit(2)
}

const abort = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => abort.abort())

process.exitCode = await main().catch((error: unknown) => {
  if (abort.signal.aborted) return 130
  console.error(`${styleText('red', 'failed')}  ${error instanceof Error ? error.message : String(error)}`)
  return 1
})

async function main(): Promise<number> {
  const { signal } = abort
  const once = process.argv.includes('--once')
  if (process.env[INSIDE] !== undefined) return showCluster({ once, signal })
  const wrong = await refusal()
  if (wrong !== undefined) {
    console.error(`${wrong.sentence}\n  try: ${wrong.hint}`)
    return 1
  }
  const installed = await installRay(signal)
  if (installed !== 0) return installed
  if (process.getuid?.() === 0) return showCluster({ once, signal })
  return insideUserNamespace(signal)
}

/** Here we are root of our own network, processes and mounts, and nobody of this machine's. */
function insideUserNamespace(signal: AbortSignal): Promise<number> {
  const program = [process.execPath, ...process.argv.slice(1)]
  const env = { ...process.env, [INSIDE]: '1' }
  return new Promise((done, failed) => {
    const child = spawn('unshare', [...AS_ROOT_OF_A_NAMESPACE, ...program], { stdio: 'inherit', env })
    // a terminal's Ctrl-C has reached it already; a second one does no harm
    signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true })
    child.once('error', failed)
    child.once('exit', (code) => done(code ?? 1))
  })
}
