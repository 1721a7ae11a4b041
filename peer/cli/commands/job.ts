import { RopewalkError } from '@ropewalk/shared/errors'
import { hasEnded, type JobView } from '../../runtime/jobs/index.ts'
import { jobsOf } from '../cluster-access.ts'
import { printLog, untilEnded } from '../job-log.ts'
import { exitWithJob, jobTable, jobText } from '../job-text.ts'
import type { CommandSpec } from '../program.ts'

const CLUSTER = ['--cluster <name>', 'which cluster; may be left out where there is one'] as const

export const jobList: CommandSpec = {
  build: (command, run) =>
    command.option(...CLUSTER).action((options: { cluster?: string }) =>
      run(async (cli) => {
        const jobs = await (await jobsOf(cli, options.cluster)).list(cli.io.signal)
        cli.print({ version: 1, jobs }, () => (jobs.length === 0 ? 'No job was submitted.\n' : jobTable(cli, jobs)))
      }),
    ),
}

export const jobStatus: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<id>', 'as job submit and job list print it')
      .option(...CLUSTER)
      .action((id: string, options: { cluster?: string }) =>
        run(async (cli) => {
          const job = await (await jobsOf(cli, options.cluster)).job(id, cli.io.signal)
          cli.print({ version: 1, job }, () => jobText(job))
        }),
      ),
}

export const jobStop: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<id>', 'as job submit and job list print it')
      .option(...CLUSTER)
      .action((id: string, options: { cluster?: string }) =>
        run(async (cli) => {
          const jobs = await jobsOf(cli, options.cluster)
          const before = await jobs.job(id, cli.io.signal)
          let job: JobView = before
          if (!hasEnded(before)) {
            await jobs.stop(id, cli.io.signal)
            job = await untilEnded(jobs, id, { signal: cli.io.signal, timeoutMs: cli.timeoutMs })
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
      .argument('<id>', 'as job submit and job list print it')
      .option(...CLUSTER)
      .option('-f, --follow', 'go on until the job ends, and end with its exit code')
      .option('--offset <bytes>', 'leave out so much at the beginning', '0')
      .action((id: string, options: { cluster?: string; follow?: true; offset: string }) =>
        run(async (cli) => {
          const offset = Number(options.offset)
          if (!Number.isSafeInteger(offset) || offset < 0)
            throw new RopewalkError('bad-usage', `“${options.offset}” is no number of bytes`)
          const jobs = await jobsOf(cli, options.cluster)
          const follow = options.follow === true
          const form = cli.json ? 'json' : 'bytes'
          await printLog(jobs, { id, follow, offset, form, to: cli.io.stdout }, cli.io.signal)
          if (follow) exitWithJob(await jobs.job(id, cli.io.signal))
        }),
      ),
}
