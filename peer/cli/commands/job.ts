import type { Unasked } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { hasEnded } from '../../runtime/jobs/index.ts'
import { everyPage } from '../every-page.ts'
import { jobAt, printLog, untilEnded } from '../job-log.ts'
import { exitWithJob, jobTable, jobText, printable } from '../job-text.ts'
import type { CommandSpec } from '../program.ts'

const ID = ['<id>', 'as job submit and job list print it'] as const
const CLUSTER = ['--cluster <name>', 'which cluster; needed only where several have a job of that id'] as const
/** The heads are asked anew for each page. */
const PAGE = 1_000
/** The head is asked three times, in ms. */
const STOP_TIMEOUT_MS = 70_000

export const jobList: CommandSpec = {
  build: (command, run) =>
    command.option('--cluster <name>', 'the jobs of this cluster alone').action(({ cluster }: { cluster?: string }) =>
      run(async (cli) => {
        const { api } = await cli.peer()
        const silent = new Map<string, Unasked>()
        const jobs = await everyPage(async (cursor) => {
          const { jobs: items, unasked, nextCursor } = await api.jobs({ query: { cluster, cursor, limit: PAGE } })
          for (const one of unasked) silent.set(one.cluster, one)
          return { items, nextCursor }
        })
        const unasked = [...silent.values()]
        cli.print({ version: 1, jobs, unasked }, () =>
          jobs.length === 0 ? 'No job was submitted.\n' : jobTable(cli, jobs),
        )
        for (const one of unasked) cli.say(`${one.cluster} could not be asked: ${printable(one.message)}`)
      }),
    ),
}

export const jobStatus: CommandSpec = {
  build: (command, run) =>
    command
      .argument(...ID)
      .option(...CLUSTER)
      .action((id: string, { cluster }: { cluster?: string }) =>
        run(async (cli) => {
          const job = await jobAt(await cli.peer(), { id, cluster }, cli.io.signal)
          cli.print({ version: 1, job }, () => jobText(job))
        }),
      ),
}

export const jobStop: CommandSpec = {
  build: (command, run) =>
    command
      .argument(...ID)
      .option(...CLUSTER)
      .action((id: string, { cluster }: { cluster?: string }) =>
        run(async (cli) => {
          const { signal } = cli.io
          const local = await cli.peer()
          const before = await jobAt(local, { id, cluster }, signal)
          let job = before
          if (!hasEnded(before)) {
            const order = { params: { job: id }, query: { cluster: before.cluster } }
            await local.api.stopJob(order, { signal, timeoutMs: STOP_TIMEOUT_MS })
            job = await untilEnded(local, { id, cluster: before.cluster }, { signal, timeoutMs: cli.timeoutMs })
          }
          cli.print({ version: 1, job }, () =>
            hasEnded(before) ? `${id} had ended already: ${job.status}\n` : `${id} is ${job.status}.\n`,
          )
        }),
      ),
}

export const jobLogs: CommandSpec = {
  build: (command, run) =>
    command
      .argument(...ID)
      .option(...CLUSTER)
      .option('-f, --follow', 'go on until the job ends, and end with its exit code')
      .option('--offset <bytes>', 'leave out so much at the beginning', '0')
      .action((id: string, options: { cluster?: string; follow?: true; offset: string }) =>
        run(async (cli) => {
          const offset = Number(options.offset)
          if (!Number.isSafeInteger(offset) || offset < 0)
            throw new RopewalkError('bad-usage', `“${options.offset}” is no number of bytes`)
          const local = await cli.peer()
          const place = { id, cluster: options.cluster }
          const follow = options.follow === true
          const form = cli.json ? 'json' : 'bytes'
          await printLog(local, { ...place, follow, offset, form, to: cli.io.stdout }, cli.io.signal)
          if (follow) exitWithJob(await untilEnded(local, place, { signal: cli.io.signal }))
        }),
      ),
}
