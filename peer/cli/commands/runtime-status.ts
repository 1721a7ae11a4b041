import type { RuntimeView } from '@ropewalk/shared/api'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { type Devices, probeDevices } from '../../runtime/devices/index.ts'
import { findRuntime, type Runtime, runtimeFolder } from '../../runtime/install/index.ts'
import type { Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'
import { bytesText, secondsText } from '../text.ts'

const NEXT = 'ropewalk runtime install'
/** Three members, 3 s each way, and their dials. */
const MEASURE_TIMEOUT_MS = 60_000

export const runtimeStatus: CommandSpec = {
  build: (command, run) =>
    command
      .option('--measure', "measure this worker's link now: moves bytes for some seconds; needs the running peer")
      .action((options: { measure?: true }) =>
        run(async (cli) => {
          const { env, signal } = cli.io
          const folder = runtimeFolder(cli.stateFolder, env)
          const installed = await findRuntime(folder)
          const devices = await probeDevices({ folder, signal })
          const peer = options.measure ? await measure(cli) : await ask(cli)
          const link = peer?.link ?? null
          const hint = installed === undefined ? NEXT : null
          cli.print({ version: 1, folder, installed: installed ?? null, devices, link, hint }, () =>
            [installedText(installed, folder), devicesText(cli, devices), linkText(peer)].join(''),
          )
        }),
      ),
}

/** What the running peer says; nothing where none runs, or where this user may not ask it. */
async function ask(cli: Invocation): Promise<RuntimeView | undefined> {
  try {
    return await (await cli.peer()).api.runtime()
  } catch (error) {
    const fine = (['not-running', 'permission-denied', 'unsupported'] as const).some((code) =>
      isRopewalkError(error, code),
    )
    if (fine) return undefined
    throw error
  }
}

async function measure(cli: Invocation): Promise<RuntimeView> {
  const { api } = await cli.peer()
  return await api.measureLink({}, { timeoutMs: cli.timeoutMs ?? MEASURE_TIMEOUT_MS, signal: cli.io.signal })
}

function installedText(installed: Runtime | undefined, folder: string): string {
  if (installed === undefined) return `No runtime is installed in ${folder}.\n  try: ${NEXT}\n`
  const { rayVersion, pythonVersion, sizeBytes } = installed
  return `Ray ${rayVersion} on Python ${pythonVersion}, ${bytesText(sizeBytes)}: ${installed.folder}\n`
}

function devicesText(cli: Invocation, { cpus, memoryMiB, diskGiB, gpus }: Devices): string {
  const machine = `${cpus} cores, ${memoryMiB} MiB of memory, ${diskGiB} GiB of disk free, ${gpus.length} GPUs\n`
  const rows = gpus.map(({ model, memoryMiB: memory, uuid }, number) => [number, model, memory, uuid])
  return `${machine}${cli.table(['GPU', 'MODEL', 'MiB', 'UUID'], rows)}`
}

function linkText(peer: RuntimeView | undefined): string {
  if (peer === undefined) return 'No peer that leases runs here: the link has no tier.\n'
  const { link } = peer
  if (link === null) return 'The link was not measured yet.\n  try: ropewalk runtime status --measure\n'
  const { tier, upMbps, downMbps, measuredAtMs } = link
  const ago = secondsText(Math.max(0, Date.now() - measuredAtMs) / 1_000)
  const speeds = `${Math.round(upMbps)} Mbit/s up, ${Math.round(downMbps)} down`
  return `link ${tier}: ${speeds}, measured ${ago} ago with ${link.with.join(', ')}\n`
}
