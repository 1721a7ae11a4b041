import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { runStep } from '../../setup/step.ts'
import { type RunOptions, root, type Tally } from './tally.ts'

/** The part of vitest's JSON report that counts. */
interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

/** What vitest says of a project. */
export interface VitestTally extends Tally {
  readonly failures: readonly Failure[]
}

/** A test that failed. */
export interface Failure {
  /** Its file's path from the checkout's top folder. */
  readonly file: string
  readonly test: string
}

/** The tests beside the code. */
export function unitTests(options: RunOptions): Promise<Tally> {
  return runVitest('unit', options, [])
}

/** Runs one project of vitest.config.ts, behind `wrapper` (a command and its arguments, or none). */
export async function runVitest(
  project: string,
  options: RunOptions,
  wrapper: readonly string[],
): Promise<VitestTally> {
  console.log(`── vitest, ${project}`)
  const folder = await mkdtemp(join(tmpdir(), 'ropewalk-test-'))
  try {
    const file = join(folder, 'report.json')
    const words = [...wrapper, ...vitestCommand('run', project, options)]
    words.push('--passWithNoTests', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`)
    const [command = '', ...args] = words
    const { code, seconds } = await runStep(command, args, { cwd: root, env: environment(options), live: true })
    const report = await readReport(file)
    return { name: `TypeScript (${project})`, seconds, failures: failuresOf(report), ...count(report, code) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export function vitestCommand(verb: 'run' | 'list', project: string, { filters }: RunOptions): string[] {
  // Node reads the configuration itself: vite would write a bundle of it into node_modules.
  const vitest = [process.execPath, join(root, 'node_modules/vitest/vitest.mjs')]
  return [...vitest, verb, '--configLoader', 'native', '--project', project, ...filters]
}

export function environment({ slow }: RunOptions): NodeJS.ProcessEnv {
  return { ...process.env, ROPEWALK_SLOW: slow ? '1' : '0' }
}

async function readReport(file: string): Promise<Report | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Report
  } catch {
    return null
  }
}

function failuresOf(report: Report | null): Failure[] {
  return (report?.testResults ?? []).flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName }) => ({ file: relative(root, name), test: fullName })),
  )
}

function count(report: Report | null, code: number): Pick<Tally, 'passed' | 'failed' | 'skipped' | 'notes'> {
  if (report === null) return { passed: 0, failed: 1, skipped: 0, notes: [`vitest ended with ${code} and no report`] }
  const broken = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  const counted = report.numFailedTests + broken.length
  // An error outside of every test (a rejection nobody caught) fails the run without a failed test.
  const failed = code !== 0 && counted === 0 ? 1 : counted
  return {
    passed: report.numPassedTests,
    failed,
    skipped: report.numPendingTests + report.numTodoTests,
    notes: [
      ...broken.map((file) => `could not be loaded: ${file.name}`),
      ...(failed > counted ? [`vitest ended with ${code} though no test failed; the reason is above`] : []),
    ],
  }
}
