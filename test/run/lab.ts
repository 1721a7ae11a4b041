import { runStep } from '../../setup/step.ts'
import { guestRefusal } from '../guest/index.ts'
import { wireguardGo } from '../wireguard/index.ts'
import { type RunOptions, root, type Tally } from './tally.ts'
import { environment, runVitest, type VitestTally, vitestCommand } from './vitest.ts'

/** Most tests that are tried again; more are no bad moment. */
const MAY_FAIL = 2

/** Namespaces of our own within a user namespace: what an ordinary user can have where it is allowed. */
const AS_USER = ['unshare', '-Urnm']

/** The tests in network namespaces: as root, else as root of a user namespace, else skipped, loudly. */
export async function labTests(options: RunOptions): Promise<Tally> {
  const wrapper = process.getuid?.() === 0 ? [] : AS_USER
  const [command = '', ...args] = [...wrapper, 'unshare', '-nmp', '--fork', 'true']
  const allowed = await runStep(command, args, { cwd: root })
  if (allowed.code === 0) {
    await prepare()
    return await withSecondTry(await runVitest('lab', options, wrapper), options, wrapper)
  }
  const skipped = await countTests(options)
  const reason = allowed.output.trim().split('\n').at(-1) ?? `unshare ended with ${allowed.code}`
  const note = `SKIPPED: ${skipped} TESTS THAT NEED NETWORK NAMESPACES (${reason})`
  console.log(`\n${note}\ntry: run as root, or sysctl -w kernel.unprivileged_userns_clone=1\n`)
  return { name: 'TypeScript (lab)', passed: 0, failed: 0, skipped, seconds: allowed.seconds, notes: [note] }
}

/**
 * Many of these tests are about time, and the machine may be somebody else's for a moment. So up to {@link MAY_FAIL} of
 * them may pass at a second try, in which their files run alone, and the tally names them: docs/decisions/0027.
 */
async function withSecondTry(first: VitestTally, options: RunOptions, wrapper: readonly string[]): Promise<Tally> {
  const { failures } = first
  if (first.failed === 0 || failures.length !== first.failed || failures.length > MAY_FAIL) return first
  console.log(`\n── ${failures.length} failed: once more, alone`)
  const filters = [...new Set(failures.map(({ file }) => file))]
  const second = await runVitest('lab', { ...options, filters }, wrapper)
  const seconds = first.seconds + second.seconds
  if (second.failed > 0) return { ...first, seconds }
  const notes = failures.map(({ file, test }) => `PASSED AT THE SECOND TRY ONLY: ${file} › ${test}`)
  return { ...first, seconds, passed: first.passed + first.failed, failed: 0, notes: [...first.notes, ...notes] }
}

/** What must be fetched is fetched here: inside the namespaces of an ordinary user there is no network. */
async function prepare(): Promise<void> {
  const rival = await wireguardGo()
  console.log(`── ${rival.name}: ${'missing' in rival ? `cannot be had: ${rival.missing}` : rival.version}`)
  const refusal = await guestRefusal()
  if (refusal !== null) console.log(`SKIPPED: ALL TESTS AGAINST LINUX'S OWN WIREGUARD IN A GUEST (${refusal})`)
}

async function countTests(options: RunOptions): Promise<number> {
  const [command = '', ...args] = [...vitestCommand('list', 'lab', options), '--json']
  const { stdout } = await runStep(command, args, { cwd: root, env: environment(options) })
  const start = stdout.indexOf('[')
  return start < 0 ? 0 : (JSON.parse(stdout.slice(start)) as unknown[]).length
}
