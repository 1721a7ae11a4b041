import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterView } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { TIERS, type Tier } from '@ropewalk/shared/runtime'
import type { LocalClient } from '../../client/index.ts'
import { accessTo } from '../cluster-access.ts'
import { parseDuration } from '../duration.ts'
import { everyPage } from '../every-page.ts'
import type { Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'
import { secondsText } from '../text.ts'

/** A cluster of many workers on slow machines takes a while, in ms. */
const CREATE_TIMEOUT_MS = 300_000
/** Other orders wait for Ray too, in ms. */
const CHANGE_TIMEOUT_MS = 180_000
const LOOK_EVERY_MS = 250

interface CreateOptions {
  readonly workers?: string
  readonly on?: string
  readonly tier?: string
  readonly gpus?: string
  readonly cpus?: string
  readonly memory?: string
  readonly for: string
  readonly wait: boolean
}

export const clusterCreate: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name>', 'what to call it')
      .option('--workers <n>', 'how many workers; the best that fit are chosen')
      .option('--on <workers>', 'these workers: a,b,c; the first is the head')
      .option('--tier <tier>', `least class of their links: ${TIERS.join(', ')}`)
      .option('--gpus <n>', 'GPUs of each; all that it has, if left out')
      .option('--cpus <n>', 'cores of each; all that it has, if left out')
      .option('--memory <size>', 'memory of each, e.g. 8GiB; three quarters of what it has, if left out')
      .option('--for <duration>', 'how long they are hired', '1h')
      .option('--no-wait', 'do not wait until it is there')
      .action((name: string, options: CreateOptions) =>
        run(async (cli) => {
          const { api } = await cli.peer()
          if (options.workers === undefined && options.on === undefined) {
            throw new RopewalkError('bad-usage', 'Say how many workers, or which ones', {
              hint: `ropewalk cluster create ${name} --workers 2`,
            })
          }
          const started = Date.now()
          const body = {
            name,
            forMs: parseDuration(options.for),
            ...(options.workers === undefined ? {} : { workers: count(options.workers, '--workers') }),
            ...(options.on === undefined ? {} : { on: options.on.split(',').filter((word) => word !== '') }),
            ...(options.tier === undefined ? {} : { tier: parseTier(options.tier) }),
            ...(options.gpus === undefined ? {} : { gpus: count(options.gpus, '--gpus', 0) }),
            ...(options.cpus === undefined ? {} : { cpus: count(options.cpus, '--cpus') }),
            ...(options.memory === undefined ? {} : { memoryMiB: parseMemory(options.memory) }),
          }
          let { cluster } = await api.createCluster({ body })
          if (options.wait) cluster = await untilThere(cli, api, cluster)
          cli.print({ version: 1, cluster }, () => clusterText(cli, cluster))
          if (!options.wait) return
          cli.say(`${name} is up after ${((Date.now() - started) / 1_000).toFixed(1)} s`)
          cli.say(
            `try: ropewalk job submit --cluster ${name} -- python -c 'import ray; ray.init(); print(ray.nodes())'`,
          )
        }),
      ),
}

export const clusterList: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const { api } = await cli.peer()
        const clusters = await everyPage(async (cursor) => {
          const { clusters: items, nextCursor } = await api.clusters({ query: { cursor } })
          return { items, nextCursor }
        })
        cli.print({ version: 1, clusters }, () =>
          clusters.length === 0
            ? 'No cluster was hired here.\n'
            : cli.table(
                ['CLUSTER', 'STATE', 'NODES', 'HEAD', 'LEFT'],
                clusters.map((one) => [one.name, one.state, one.workers.length, headOf(one), left(one)]),
              ),
        )
      }),
    ),
}

export const clusterShow: CommandSpec = {
  build: (command, run) =>
    command.argument('<name>', 'the cluster').action((name: string) =>
      run(async (cli) => {
        const { cluster } = await (await cli.peer()).api.cluster({ params: { cluster: name } })
        cli.print({ version: 1, cluster }, () => clusterText(cli, cluster))
      }),
    ),
}

export const clusterExtend: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name>', 'the cluster')
      .requiredOption('--for <duration>', 'how long from now')
      .action((name: string, options: { for: string }) =>
        run((cli) =>
          change(cli, (api) =>
            api.extendCluster(
              { params: { cluster: name }, body: { forMs: parseDuration(options.for) } },
              { timeoutMs: CHANGE_TIMEOUT_MS },
            ),
          ),
        ),
      ),
}

export const clusterAddWorker: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name>', 'the cluster')
      .argument('[worker]', 'which one; the best that fits if left out')
      .action((name: string, worker: string | undefined) =>
        run((cli) =>
          change(cli, (api) =>
            api.addWorker(
              { params: { cluster: name }, body: worker === undefined ? {} : { worker } },
              { timeoutMs: CHANGE_TIMEOUT_MS },
            ),
          ),
        ),
      ),
}

export const clusterRemoveWorker: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name>', 'the cluster')
      .argument('<worker>', 'which one')
      .action((name: string, worker: string) =>
        run((cli) =>
          change(cli, (api) =>
            api.removeWorker({ params: { cluster: name, worker } }, { timeoutMs: CHANGE_TIMEOUT_MS }),
          ),
        ),
      ),
}

export const clusterDelete: CommandSpec = {
  build: (command, run) =>
    command.argument('<name>', 'the cluster').action((name: string) =>
      run(async (cli) => {
        const { api } = await cli.peer()
        const options = { timeoutMs: CHANGE_TIMEOUT_MS }
        const { untold } = await api.deleteCluster({ params: { cluster: name } }, options)
        cli.print({ version: 1, deleted: name, untold }, () => `${name} is gone; its workers are free.\n`)
        if (untold.length > 0) cli.say(`${untold.join(', ')} could not be told: there the lease ends by itself`)
      }),
    ),
}

export const clusterEnv: CommandSpec = {
  build: (command, run) =>
    command.argument('[name]', 'the cluster; needed where there are several').action((name: string | undefined) =>
      run(async (cli) => {
        const { head, token, name: cluster } = await accessTo(cli, name)
        const environment = {
          RAY_ADDRESS: `http://${head.address}:${head.dashboardPort}`,
          RAY_AUTH_MODE: 'token',
          RAY_AUTH_TOKEN: token,
        }
        cli.print({ version: 1, cluster, environment }, () =>
          Object.entries(environment)
            .map(([key, value]) => `export ${key}=${value}\n`)
            .join(''),
        )
        cli.say(`for this shell: eval "$(ropewalk cluster env ${cluster})"; it holds the cluster's secret`)
      }),
    ),
}

async function change(
  cli: Invocation,
  ask: (api: LocalClient['api']) => Promise<{ readonly cluster: ClusterView }>,
): Promise<void> {
  const { cluster } = await ask((await cli.peer()).api)
  cli.print({ version: 1, cluster }, () => clusterText(cli, cluster))
}

/** Says what happens meanwhile. Ctrl-C gives up what has been hired so far. */
async function untilThere(cli: Invocation, api: LocalClient['api'], first: ClusterView): Promise<ClusterView> {
  const params = { cluster: first.name }
  const limit = Date.now() + (cli.timeoutMs ?? CREATE_TIMEOUT_MS)
  let [cluster, told] = [first, 0]
  for (;;) {
    for (const { text } of cluster.events.slice(told)) cli.say(text)
    told = cluster.events.length
    if (cluster.state === 'running') return cluster
    if (cluster.state === 'failed') {
      const why = cluster.events.at(-1)?.text ?? 'no reason is known'
      await api.deleteCluster({ params })
      throw new RopewalkError('runtime-failed', `${cluster.name} did not come up: ${why}`, { hint: 'ropewalk devices' })
    }
    const late = Date.now() > limit
    if (cli.io.signal.aborted || late) {
      cli.say('giving the workers back')
      await api.deleteCluster({ params }, { timeoutMs: CHANGE_TIMEOUT_MS })
      throw new RopewalkError(late ? 'timeout' : 'aborted', `${cluster.name} was not up ${late ? 'in time' : 'yet'}`)
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal: cli.io.signal }).catch(() => undefined)
    cluster = (await api.cluster({ params })).cluster
  }
}

function clusterText(cli: Invocation, cluster: ClusterView): string {
  const rows = cluster.workers.map((worker) => [
    worker.name,
    worker.role,
    worker.state,
    worker.address,
    worker.devices.cpus,
    `${(worker.devices.memoryMiB / 1_024).toFixed(1)} GiB`,
    worker.devices.gpus,
    worker.note,
  ])
  const head = `${cluster.name} is ${cluster.state}; ${left(cluster)} left\n`
  return head + cli.table(['WORKER', 'ROLE', 'STATE', 'ADDRESS', 'CORES', 'MEMORY', 'GPUS', 'NOTE'], rows)
}

function headOf({ workers }: ClusterView): string | undefined {
  return workers.find(({ role }) => role === 'head')?.name
}

function left({ notAfterMs }: ClusterView): string | null {
  return secondsText(Math.max(0, (notAfterMs - Date.now()) / 1_000))
}

function count(text: string, option: string, least = 1): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RopewalkError('bad-usage', `${option} is a whole number from ${least}, not “${text}”`)
}

function parseTier(text: string): Tier {
  const tier = TIERS.find((one) => one === text)
  if (tier !== undefined) return tier
  throw new RopewalkError('bad-usage', `--tier is ${TIERS.join(', ')}, not “${text}”`)
}

/** `8GiB`, `512MiB`; a bare number is MiB. */
function parseMemory(text: string): number {
  const [, number, unit = 'MiB'] = /^(\d{1,9}(?:\.\d+)?)\s*(GiB|MiB)?$/i.exec(text) ?? []
  if (number === undefined) throw new RopewalkError('bad-usage', `--memory is like 8GiB or 512MiB, not “${text}”`)
  return Math.max(1, Math.floor(Number(number) * (unit.toLowerCase() === 'gib' ? 1_024 : 1)))
}
