import { mkdir, rmdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { FIRST_BLOCK_PORT } from '@ropewalk/shared/runtime'
import { dropped, leaseUser } from './account.ts'
import { findGroupPlaces, type GroupPlaces } from './control-groups.ts'
import { portRules } from './port-rules.ts'
import { runProgram } from './program.ts'
import { FIXED_WORDS, topFolders } from './sandbox.ts'
import { trialName } from './trial-name.ts'

/** What this machine has for cages; it does not change while we run. */
export interface Machine {
  readonly groups: GroupPlaces
  /** Whether nftables can tell by a packet's socket which lease it would reach. */
  readonly knowsSockets: boolean
  readonly top: Awaited<ReturnType<typeof topFolders>>
}

const TOOL_TIMEOUT_MS = 10_000
/** nftables finds control groups below this folder, wherever they are mounted. */
const NFT_GROUPS = '/sys/fs/cgroup'

/** Looks at this machine, and says once what is missing for full isolation. */
export async function surveyMachine(logger: Logger): Promise<Machine> {
  const groups = await findGroupPlaces()
  const knowsSockets = groups.unified !== null && (await socketsAreKnown(groups.unified.folder))
  if ((await leaseUser(FIRST_BLOCK_PORT)) === null)
    logger.warn('only one user exists here: leases share it, and their ports are not apart on the loopback interface')
  if (!groups.unified?.limits && groups.split.memory === undefined)
    logger.warn('no control groups can be made here: memory and processors of leases are not limited')
  if (!knowsSockets) logger.warn('nftables does not know control groups here: only the ports given to Ray are closed')
  return { groups, knowsSockets, top: await topFolders() }
}

/** How nftables calls a group of version 2. */
export function nftGroup(folder: string): string {
  return relative(NFT_GROUPS, folder)
}

async function socketsAreKnown(unified: string): Promise<boolean> {
  const folder = join(unified, trialName())
  await mkdir(folder)
  try {
    const table = trialName()
    const rules = portRules({ table, ports: FIRST_BLOCK_PORT, mesh: 'lo', user: 0, group: nftGroup(folder) })
    return (
      (await runProgram(['nft', '--check', '--file', '-'], { input: rules, timeoutMs: TOOL_TIMEOUT_MS })).code === 0
    )
  } finally {
    await rmdir(folder)
  }
}

/** Why no cage can be made here, with a next step; tried, not guessed. */
export async function cageRefusal(): Promise<RopewalkError | undefined> {
  for (const trial of [tryPrograms, tryRules, trySandbox]) {
    const refusal = await trial()
    if (refusal !== undefined) return refusal
  }
  return undefined
}

async function tryRules(): Promise<RopewalkError | undefined> {
  const table = trialName()
  const rules = portRules({ table, ports: FIRST_BLOCK_PORT, mesh: 'lo', user: 0, group: null })
  const said = await attempt(['nft', '--check', '--file', '-'], 'nftables', rules)
  return said === undefined || said instanceof RopewalkError ? said : forbidden('the ports of a lease be closed', said)
}

async function trySandbox(): Promise<RopewalkError | undefined> {
  const top = (await topFolders()).flatMap(({ name, link }) =>
    link === null ? ['--ro-bind', `/${name}`, `/${name}`] : ['--symlink', link, `/${name}`],
  )
  const face = [
    '--ro-bind',
    '/usr',
    '/usr',
    ...top,
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--size',
    '4096',
    '--tmpfs',
    '/tmp',
  ]
  const command = [...dropped(await leaseUser(FIRST_BLOCK_PORT)), 'true']
  const said = await attempt(['bwrap', ...FIXED_WORDS, ...face, '--', ...command], 'bubblewrap', '')
  if (said === undefined || said instanceof RopewalkError) return said
  if (/unknown option/i.test(said))
    return new RopewalkError('missing-tool', `bubblewrap is too old here: ${said}`, {
      hint: 'install bubblewrap 0.8 or newer',
    })
  return forbidden('processes be put apart', said)
}

async function tryPrograms(): Promise<RopewalkError | undefined> {
  for (const words of [
    ['nsenter', '--version'],
    ['setpriv', '--version'],
  ]) {
    const said = await attempt(words, 'util-linux', '')
    if (said instanceof RopewalkError) return said
  }
  return undefined
}

/** Undefined when it works, else what it said. */
async function attempt(
  words: readonly string[],
  name: string,
  input: string,
): Promise<RopewalkError | string | undefined> {
  try {
    const { code, stderr } = await runProgram(words, { input, timeoutMs: TOOL_TIMEOUT_MS })
    return code === 0 ? undefined : (stderr.trim().split('\n')[0] ?? '') || `it ended with ${code}`
  } catch (error) {
    if (!(error instanceof RopewalkError) || error.code !== 'missing-tool') throw error
    return new RopewalkError('missing-tool', `${name} is needed to run leases apart and is not installed`, {
      hint: `install it, on Debian by: apt-get install ${name}`,
    })
  }
}

function forbidden(what: string, said: string): RopewalkError {
  return new RopewalkError('permission-denied', `Nowhere here can ${what}: ${said}`, {
    hint: 'run the peer as root, or in a user namespace by: unshare -Urnm',
  })
}
