import type { Job } from '@ropewalk/shared/api'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import type { LocalClient } from '../../client/index.ts'
import { type PackageStore, sendWorkingDir, shellCommand } from '../../runtime/jobs/index.ts'
import { namedCluster } from '../cluster-access.ts'
import type { Invocation } from '../invocation.ts'
import { type JobPlace, printLog, untilEnded } from '../job-log.ts'
import { exitWithJob, jobText } from '../job-text.ts'
import { type CommandSpec, ExitWith } from '../program.ts'
import { progressLine } from '../progress.ts'
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

/** The head is asked twice where its first answer is lost, in ms. */
const SUBMIT_TIMEOUT_MS = 70_000
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
          const local = await cli.peer()
          const cluster = await namedCluster(local, options.cluster)
          const sent = await send(cli, local, { cluster, directory: options.workingDir })
          const { signal } = cli.io
          const body = { ...wanted, cluster, package: sent }
          const { id } = await local.api.submitJob({ body }, { signal, timeoutMs: SUBMIT_TIMEOUT_MS })
          if (!options.wait) return cli.print({ version: 1, id }, () => `${id}\n`)
          cli.say(`${id} is submitted; Ctrl-C leaves it running`)
          const job = await followed(cli, local, { id, cluster })
          if (cli.json) cli.print({ version: 1, job }, () => '')
          else cli.say(job.status === 'succeeded' ? `${id} succeeded` : jobText(job).trimEnd())
          exitWithJob(job)
        }),
      ),
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value]

function jobOf(words: readonly string[], options: Options) {
  return {
    entrypoint: shellCommand(words),
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
async function followed(cli: Invocation, local: LocalClient, place: JobPlace): Promise<Job> {
  const { id } = place
  try {
    // under -o json stdout is for the result alone
    const to = cli.json ? cli.io.stderr : cli.io.stdout
    await printLog(local, { ...place, follow: true, offset: 0, form: 'bytes', to }, cli.io.signal)
    return await untilEnded(local, place, { signal: cli.io.signal })
  } catch (error) {
    const back = `ropewalk job logs -f ${id}`
    if (cli.io.signal.aborted) {
      cli.say(`${id} goes on; come back with: ${back}`)
      throw new ExitWith(DETACHED)
    }
    if (!isRopewalkError(error) || error.code === 'job-lost') throw error
    throw new RopewalkError(error.code, `${error.message}; ${id} may go on all the same`, { hint: back, cause: error })
  }
}

/** Brings the working directory to the cluster. @returns its name there */
async function send(
  cli: Invocation,
  local: LocalClient,
  { cluster, directory }: { cluster: string; directory: string },
): Promise<string> {
  const to: PackageStore = {
    async hasPackage(name, signal) {
      const asked = { params: { package: name }, query: { cluster } }
      return (await local.api.package(asked, { signal, timeoutMs: SUBMIT_TIMEOUT_MS })).there
    },
    putPackage: (name, sent, signal) => local.putPackage({ name, cluster, ...sent, signal }),
  }
  using line = progressLine(cli.io)
  const onProgress = (sent: number, total: number): void =>
    line.show('send', `sending the working directory: ${bytesText(sent)} of ${bytesText(total)}`)
  const logger = cli.logger.child({ room: 'jobs' })
  return await sendWorkingDir(directory, to, { signal: cli.io.signal, logger, onProgress })
}
