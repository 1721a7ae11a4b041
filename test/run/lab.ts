import { runStep } from '../../setup/step.ts'
import { guestRefusal } from '../guest/index.ts'
import { wireguardGo } from '../wireguard/index.ts'
import { type RunOptions, root, type Tally } from './tally.ts'
import { environment, runVitest, vitestCommand } from './vitest.ts'

/** Namespaces of our own within a user namespace: what an ordinary user can have where it is allowed. */
const AS_USER = ['unshare', '-Urnm']

/** The tests in network namespaces: as root, else as root of a user namespace, else skipped, loudly. */
export async function labTests(options: RunOptions): Promise<Tally> {
  const wrapper = process.getuid?.() === 0 ? [] : AS_USER
  const [command = '', ...args] = [...wrapper, 'unshare', '-nmp', '--fork', 'true']
  const allowed = await runStep(command, args, { cwd: root })
  if (allowed.code === 0) {
    await prepare()
    return runVitest('lab', options, wrapper)
  }
  const skipped = await countTests(options)
  const reason = allowed.output.trim().split('\n').at(-1) ?? `unshare ended with ${allowed.code}`
  const note = `SKIPPED: ${skipped} TESTS THAT NEED NETWORK NAMESPACES (${reason})`
  console.log(`\n${note}\ntry: run as root, or sysctl -w kernel.unprivileged_userns_clone=1\n`)
  return { name: 'TypeScript (lab)', passed: 0, failed: 0, skipped, seconds: allowed.seconds, notes: [note] }
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
