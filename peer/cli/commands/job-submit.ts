import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { type Jobs, type JobView, type JobWanted, shellCommand } from '../../runtime/jobs/index.ts'
import { jobsOf } from '../cluster-access.ts'
import type { Invocation } from '../invocation.ts'
import { printLog, untilEnded } from '../job-log.ts'
import { exitWithJob, jobText } from '../job-text.ts'
import { type CommandSpec, ExitWith } from '../program.ts'
import { bytesText } from '../text.ts'

interface Options {
  readonly cluster?: string
  readonly workingDir: string
  readonly name?: string
  readonly wait: boolean
  readonly gpus?: string
  readonly cpus?: string
  readonly env: readonly string[]
}

/** As a shell ends when Ctrl-C ends its program. */
const DETACHED = 130

export const jobSubmit: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<command...>', 'what to run there, after --')
      .option('--cluster <name>', 'which cluster; may be left out where there is one')
      .option('--working-dir <dir>', 'sent along, without what .gitignore and .rayignore name', '.')
      .option('--name <name>', 'what it is called in job list')
      .option('--no-wait', 'print the id and leave, instead of following the log')
      .option('--gpus <n>', 'GPUs for the command itself; its tasks and actors say what they take')
      .option('--cpus <n>', 'CPUs for the command itself')
      .option('-e, --env <name=value>', 'for the environment of the job; may be repeated', collect, [])
      .action((words: string[], options: Options) =>
        run(async (cli) => {
          const wanted = jobOf(words, options)
          const jobs = await jobsOf(cli, options.cluster)
          const { id } = await jobs.submit(wanted, { signal: cli.io.signal, onProgress: progress(cli) })
          if (!options.wait) return cli.print({ version: 1, id }, () => `${id}\n`)
          cli.say(`${id} is submitted; Ctrl-C leaves it running`)
          const job = await followed(cli, jobs, id)
          if (cli.json) cli.print({ version: 1, job }, () => '')
          else cli.say(job.status === 'succeeded' ? `${id} succeeded` : jobText(job).trimEnd())
          exitWithJob(job)
        }),
      ),
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value]

function jobOf(words: readonly string[], options: Options): JobWanted {
  return {
    entrypoint: shellCommand(words),
    workingDir: options.workingDir,
    env: Object.fromEntries(options.env.map(parseVariable)),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.gpus === undefined ? {} : { gpus: amount(options.gpus, '--gpus') }),
    ...(options.cpus === undefined ? {} : { cpus: amount(options.cpus, '--cpus') }),
  }
}

function parseVariable(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)]
  throw new RopewalkError('bad-usage', `“${text}” is no variable`, { hint: '-e NAME=VALUE' })
}

function amount(text: string, option: string): number {
  if (/^\d{1,4}(\.\d{1,4})?$/.test(text)) return Number(text)
  throw new RopewalkError('bad-usage', `${option} is a number, not “${text}”`)
}

/** The log until the job ends. Ctrl-C leaves the job as it is, and says how to come back. */
async function followed(cli: Invocation, jobs: Jobs, id: string): Promise<JobView> {
  try {
    // under -o json stdout is for the result alone
    const to = cli.json ? cli.io.stderr : cli.io.stdout
    await printLog(jobs, { id, follow: true, offset: 0, form: 'bytes', to }, cli.io.signal)
    return await untilEnded(jobs, id, { signal: cli.io.signal })
  } catch (error) {
    const back = `ropewalk job logs -f ${id}`
    if (cli.io.signal.aborted) {
      cli.say(`${id} goes on; come back with: ${back}`)
      throw new ExitWith(DETACHED)
    }
    if (!isRopewalkError(error)) throw error
    throw new RopewalkError(error.code, `${error.message}; ${id} may go on all the same`, { hint: back, cause: error })
  }
}

/** How much of the working directory is sent, on one line of a terminal. */
function progress(cli: Invocation): (sentBytes: number, totalBytes: number) => void {
  if (cli.io.stderr.isTTY !== true) return () => {}
  return (sent, total) =>
    void cli.io.stderr.write(
      `\rsending the working directory: ${bytesText(sent)} of ${bytesText(total)}\x1b[K${sent === total ? '\n' : ''}`,
    )
}
