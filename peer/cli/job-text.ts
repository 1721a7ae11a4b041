import { stripVTControlCharacters } from 'node:util'
import type { Job } from '@ropewalk/shared/api'
import { hasEnded } from '../runtime/jobs/index.ts'
import type { Invocation } from './invocation.ts'
import { ExitWith } from './program.ts'
import { secondsText } from './text.ts'

const TITLE_LENGTH = 60
const MAX_WHY_LINES = 40

/** Jobs for people, one a line. */
export function jobTable(cli: Invocation, jobs: readonly Job[], nowMs = Date.now()): string {
  return cli.table(
    ['ID', 'CLUSTER', 'STATUS', 'EXIT', 'TOOK', 'STARTED', 'NAME', 'COMMAND'],
    jobs.map((job) => [
      printable(job.id),
      job.cluster,
      job.status,
      job.exitCode,
      tookText(job, nowMs),
      timeText(job.startedAtMs),
      nameOf(job),
      shortened(printable(job.entrypoint)),
    ]),
  )
}

/** Everything about a job for people. */
export function jobText(job: Job, nowMs = Date.now()): string {
  const lines = [
    `${printable(job.id)} is ${job.status}${job.exitCode === null ? '' : `, exit code ${job.exitCode}`}`,
    `cluster  ${job.cluster}`,
    `command  ${printable(job.entrypoint)}`,
    `name     ${nameOf(job) ?? '–'}`,
    `started  ${timeText(job.startedAtMs) ?? 'not yet'}`,
    `took     ${tookText(job, nowMs) ?? '–'}${hasEnded(job) ? '' : ' so far'}`,
    ...whyLines(job),
  ]
  return `${lines.join('\n')}\n`
}

/** Ray's words on why a job waits or failed. Where the command itself failed they repeat its log, which is left out. */
export function whyLines({ message, exitCode }: Job): string[] {
  const lines = (message ?? '').split('\n').map(printable)
  return lines.filter((line) => line !== '').slice(0, exitCode === null ? MAX_WHY_LINES : 1)
}

/** The exit code of a command line for a job that ended: its own, 128 + n for signal n, 1 where it has none and failed. */
export function jobExitCode({ status, exitCode }: Job): number {
  if (exitCode === null) return status === 'succeeded' ? 0 : 1
  return exitCode < 0 ? 128 - exitCode : exitCode
}

/** Ends the command as the job ended. @throws ExitWith */
export function exitWithJob(job: Job): void {
  const code = jobExitCode(job)
  if (code !== 0) throw new ExitWith(code)
}

/** A text of somebody else's, without what could move the cursor or lie about a line. */
export function printable(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/\p{C}+/gu, ' ')
    .trim()
}

function nameOf({ id, metadata }: Job): string | null {
  const name = metadata.job_name
  return name === undefined || name === id ? null : shortened(printable(name))
}

function shortened(text: string): string {
  return text.length <= TITLE_LENGTH ? text : `${text.slice(0, TITLE_LENGTH - 1)}…`
}

function timeText(ms: number | null): string | null {
  const date = new Date(ms ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? null : date.toISOString().replace(/\.\d+Z$/, 'Z')
}

function tookText({ startedAtMs, endedAtMs }: Job, nowMs: number): string | null {
  return startedAtMs === null ? null : secondsText(Math.max(0, (endedAtMs ?? nowMs) - startedAtMs) / 1_000)
}
