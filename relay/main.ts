// The process of the `ropewalk-relay` command: the only place that touches argv, environment, signals and exit.
import { readFileSync } from 'node:fs'
import { processIo, runProgram } from '@ropewalk/peer/cli'
import { serve } from './cli/index.ts'

const { version } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as { version: string }

process.exitCode = await runProgram(
  {
    name: 'ropewalk-relay',
    version,
    description: 'A relay of a ropewalk network: a peer that also listens in public. What it carries it cannot read.',
    groups: {},
    commands: [],
    only: serve(version),
  },
  process.argv.slice(2),
  processIo(process),
)
