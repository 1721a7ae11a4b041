// The process of the `ropewalk` command: the only place that touches argv, environment, signals and exit.
import { readFileSync } from 'node:fs'
import { processIo, ropewalk, runProgram } from './cli/index.ts'

const { version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as { version: string }
process.exitCode = await runProgram({ ...ropewalk, version }, process.argv.slice(2), processIo(process))
