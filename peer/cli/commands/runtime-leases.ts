import { everyPage } from '../every-page.ts'
import type { CommandSpec } from '../program.ts'
import { secondsText } from '../text.ts'

/** Processes of a lease end within 2 s; a folder of many files takes what the disk needs, in ms. */
const END_TIMEOUT_MS = 60_000
const ID_DIGITS = 8

export const runtimeLeases: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const { api } = await cli.peer()
        const leases = await everyPage(async (cursor) => {
          const { leases: items, nextCursor } = await api.leases({ query: { cursor } })
          return { items, nextCursor }
        })
        cli.print({ version: 1, leases }, () =>
          leases.length === 0
            ? 'Nobody has hired this worker.\n'
            : cli.table(
                ['LEASE', 'CLUSTER', 'HIRER', 'STATE', 'CORES', 'MEMORY', 'GPUS', 'LEFT'],
                leases.map(({ id, cluster, hirer, state, devices, gpus, notAfterMs }) => [
                  id.slice(0, ID_DIGITS),
                  cluster,
                  hirer,
                  state,
                  devices.cpus,
                  `${(devices.memoryMiB / 1_024).toFixed(1)} GiB`,
                  gpus.length === 0 ? null : gpus.join(','),
                  secondsText(Math.max(0, (notAfterMs - Date.now()) / 1_000)),
                ]),
              ),
        )
      }),
    ),
}

export const runtimeEnd: CommandSpec = {
  build: (command, run) =>
    command.argument('<lease>', 'its id, or the first digits of it').action((lease: string) =>
      run(async (cli) => {
        const { api } = await cli.peer()
        const options = { timeoutMs: cli.timeoutMs ?? END_TIMEOUT_MS, signal: cli.io.signal }
        const done = await api.endLease({ params: { lease } }, options)
        cli.print(done, () => `${lease} has ended; its hirer hears of it\n`)
      }),
    ),
}
