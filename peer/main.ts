// The process of the `ropewalk` command: the only place that touches argv, environment, signals and exit.
import { readFileSync } from 'node:fs'
import { ropewalk, runProgram } from './cli/index.ts'

const { version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as { version: string }
const abort = new AbortController()
let signals = 0
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    abort.abort()
    signals += 1
    if (signals > 1) process.exit(130) // asked twice: at once
  })
}

process.exitCode = await runProgram({ ...ropewalk, version }, process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  userId: process.getuid?.() ?? -1,
  signal: abort.signal,
})
