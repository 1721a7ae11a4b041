// `npm start`: the whole product on one machine, without root, in a throw-away folder.
import { styleText } from 'node:util'
import { DemoNetwork, ENGINEER, SERVICE, WORKERS } from './network.ts'
import { prove } from './proof.ts'
import { timedLines } from './timed-lines.ts'

const once = process.argv.includes('--once')
const unknown = process.argv.slice(2).find((word) => word !== '--once')
if (unknown !== undefined) {
  console.error(`npm start knows no “${unknown}”.\n  try: npm start, or npm start -- --once`)
  process.exit(2)
}

const say = timedLines()
const abort = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => abort.abort())
const stopped = new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve(), { once: true }))

process.exitCode = await main().catch((error: unknown) => {
  if (abort.signal.aborted) return 130
  console.error(`${styleText('red', 'failed')}  ${error instanceof Error ? error.message : String(error)}`)
  return 1
})

async function main(): Promise<number> {
  const network = await DemoNetwork.open(say, abort.signal)
  let keepFolder = false
  try {
    const failures = await prove(network, (line) => say(`${styleText('green', 'proved')}  ${line}`), abort.signal)
    for (const sentence of failures) console.error(`${styleText('red', 'failed')}  ${sentence}`)
    if (failures.length > 0) {
      keepFolder = true
      console.error(`  try: read the logs in ${network.folder}`)
      return 1
    }
    say('a relay, three workers and an engineer run; no worker has an open port')
    if (once) return 0
    suggest(network)
    const failure = await Promise.race([stopped, network.failure()])
    if (failure === undefined) return 0
    keepFolder = true
    console.error(`${styleText('red', 'failed')}  ${failure}`)
    return 1
  } finally {
    if (!once || keepFolder) console.log('stopping')
    await network.close({ keepFolder })
  }
}

function suggest(network: DemoNetwork): void {
  const state = `--state ${network.state(ENGINEER)}`
  console.log(`
Try, in another terminal of this folder:
  npx ropewalk peers ${state}
  npx ropewalk ping ${WORKERS[0]} ${state}
  npx ropewalk topology ${state}
  npx ropewalk forward ${WORKERS[1]} 9000:${SERVICE} ${state}      then: curl http://127.0.0.1:9000
Ctrl-C ends everything and removes ${network.folder}.`)
}
