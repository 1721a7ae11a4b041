import { everyPage } from '../every-page.ts'
import type { CommandSpec } from '../program.ts'

export const devices: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const { api } = await cli.peer()
        const all = await everyPage(async (cursor) => {
          const { devices: items, nextCursor } = await api.devices({ query: { cursor } })
          return { items, nextCursor }
        })
        cli.print({ version: 1, devices: all }, () =>
          all.length === 0
            ? 'No member has Ray installed: ropewalk runtime install, on a worker.\n'
            : cli.table(
                ['WORKER', 'STATE', 'TIER', 'CORES', 'MEMORY', 'DISK', 'GPUS', 'LEASES', 'RAY'],
                all.map((one) => [
                  one.name,
                  one.state,
                  one.tier,
                  one.cpus,
                  `${(one.memoryMiB / 1_024).toFixed(0)} GiB`,
                  `${one.diskGiB} GiB`,
                  gpuWords(one.gpus),
                  one.leases,
                  one.ray,
                ]),
              ),
        )
      }),
    ),
}

/** `2 × H100`, or nothing. */
function gpuWords(gpus: readonly { readonly model: string }[]): string | null {
  const counts = Map.groupBy(gpus, ({ model }) => model)
  return counts.size === 0 ? null : [...counts].map(([model, all]) => `${all.length} × ${model}`).join(', ')
}
