import { open } from 'node:fs/promises'
import { runStep } from '../../setup/step.ts'

/** Why the demo cannot run on this machine, and what to do about it. */
export interface Refusal {
  readonly sentence: string
  readonly hint: string
}

const TOOLS = [
  { command: 'ip', debian: 'iproute2' },
  { command: 'nft', debian: 'nftables' },
  { command: 'bwrap', debian: 'bubblewrap' },
  { command: 'nsenter', debian: 'util-linux' },
] as const
const TUN = '/dev/net/tun'
/** What Linux, Debian and Ubuntu have to forbid it. */
const SWITCHES = [
  'user.max_user_namespaces=10000',
  'kernel.unprivileged_userns_clone=1',
  'kernel.apparmor_restrict_unprivileged_userns=0',
]
const ROOT = process.getuid?.() === 0

/** Looks for all that is needed but Ray; by trying it, not by guessing. */
export async function refusal(): Promise<Refusal | undefined> {
  if (process.platform !== 'linux') {
    return {
      sentence: 'Ray on the mesh is shown in network namespaces, which only Linux has.',
      hint: 'npm start, which shows the network without Ray',
    }
  }
  return (await missingTools()) ?? (await noTun()) ?? (await noNamespaces())
}

async function missingTools(): Promise<Refusal | undefined> {
  const found = await Promise.all(
    TOOLS.map(async ({ command }) => (await step('sh', '-c', `command -v ${command}`)).code === 0),
  )
  const missing = TOOLS.filter((_, at) => !found[at])
  if (missing.length === 0) return undefined
  return {
    sentence: `Not installed here, and needed: ${missing.map(({ command }) => command).join(', ')}.`,
    hint: `sudo apt-get install ${missing.map(({ debian }) => debian).join(' ')}`,
  }
}

/** Opening it makes no interface yet. */
async function noTun(): Promise<Refusal | undefined> {
  try {
    await (await open(TUN, 'r+')).close()
    return undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') {
      return {
        sentence: `Workers need an interface of their own, and ${TUN} is closed to ordinary users here.`,
        hint: `sudo chmod 666 ${TUN} (as most systems have it), or: sudo npm run demo:ray`,
      }
    }
    return {
      sentence: `Workers need an interface of their own, and there is no ${TUN} here.`,
      hint: 'sudo modprobe tun, or for a container: --device /dev/net/tun --cap-add NET_ADMIN --cap-add SYS_ADMIN',
    }
  }
}

async function noNamespaces(): Promise<Refusal | undefined> {
  const made = await step('unshare', ...(ROOT ? [] : ['-Urnm', 'unshare']), '-nmp', '--fork', 'true')
  if (made.code === 0) return undefined
  const reason = made.output.trim().split('\n').at(-1) ?? `unshare ended with ${made.code}`
  if (ROOT)
    return { sentence: `No namespaces can be made here: ${reason}.`, hint: 'a container needs --privileged for it' }
  return {
    sentence: `Ordinary users cannot make namespaces here: ${reason}.`,
    hint: `sudo npm run demo:ray, or set by sysctl what is there of: ${SWITCHES.join(', ')}`,
  }
}

function step(command: string, ...args: string[]) {
  return runStep(command, args, { cwd: '/' })
}
