import { makeFolder } from '../../make-folder.ts'
import { type Installed, installRuntime, type Progress, runtimeFolder } from '../../runtime/install/index.ts'
import type { Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'
import { progressLine } from '../progress.ts'
import { bytesText } from '../text.ts'

interface Options {
  readonly python?: string
  readonly repair?: true
}

export const runtimeInstall: CommandSpec = {
  build: (command, run) =>
    command
      .option('--python <path>', 'the Python to make it with, 3.10 to 3.13; found if not said')
      .option('--repair', 'again from scratch; what runs now goes on with what it has')
      .action((options: Options) => run((cli) => install(cli, options))),
}

async function install(cli: Invocation, { python, repair }: Options): Promise<void> {
  const { env, userId, signal } = cli.io
  const startedMs = performance.now()
  signal.throwIfAborted()
  const folder = runtimeFolder(cli.stateFolder, env)
  // before the first start of a peer this makes its state folder, which is nobody else's
  if (folder.startsWith(`${cli.stateFolder}/`)) await makeFolder(cli.stateFolder, 0o700)
  const installed = await watched(cli, (progress) =>
    installRuntime(
      {
        folder,
        python,
        repair: repair === true,
        timeoutMs: cli.timeoutMs,
      },
      { env, userId, signal, progress },
    ),
  )
  const { runtime, changed, warnings } = installed
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10
  for (const warning of warnings) cli.say(`warning: ${warning}`)
  cli.print({ version: 1, runtime, changed, seconds, warnings }, () => {
    const what = `Ray ${runtime.rayVersion} on Python ${runtime.pythonVersion}, ${bytesText(runtime.sizeBytes)}`
    return `${what}, ${changed ? `installed in ${seconds} s` : 'is installed already'}: ${runtime.folder}\n`
  })
}

async function watched(
  cli: Invocation,
  work: (progress: (progress: Progress) => void) => Promise<Installed>,
): Promise<Installed> {
  using line = progressLine(cli.io)
  return await work((progress) => line.show(progress.step, sentenceOf(progress)))
}

function sentenceOf(progress: Progress): string {
  switch (progress.step) {
    case 'wait':
      return 'waiting for another installation in the same folder'
    case 'environment':
      return `making a virtual environment with ${progress.what}`
    case 'fetch':
      return `fetching packages, ${progress.done} of ${progress.total}: ${progress.what}`
    case 'unpack':
      return `unpacking ${progress.total} packages`
    case 'check':
      return `checking that ${progress.what} starts`
  }
}
