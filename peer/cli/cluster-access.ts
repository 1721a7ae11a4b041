import type { ClusterAccess } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { createJobs, type Jobs } from '../runtime/jobs/index.ts'
import type { Invocation } from './invocation.ts'

/** How to reach a cluster, by its name; without one, the only cluster. @throws RopewalkError `not-found`, `bad-usage` */
export async function accessTo(cli: Invocation, name: string | undefined): Promise<ClusterAccess> {
  const { api } = await cli.peer()
  return await api.clusterAccess({ params: { cluster: name ?? (await onlyCluster(api)) } })
}

async function onlyCluster(api: Awaited<ReturnType<Invocation['peer']>>['api']): Promise<string> {
  const { clusters } = await api.clusters()
  const [first, second] = clusters
  if (first === undefined) {
    throw new RopewalkError('not-found', 'No cluster was hired here', {
      hint: 'ropewalk cluster create NAME --workers 2',
    })
  }
  if (second === undefined) return first.name
  throw new RopewalkError('bad-usage', `There are several clusters: ${clusters.map((one) => one.name).join(', ')}`, {
    hint: `name one: --cluster ${first.name}`,
  })
}

/** The jobs of a cluster, through streams to its head by mesh or tunnel. @throws RopewalkError */
export async function jobsOf(cli: Invocation, cluster?: string): Promise<Jobs> {
  const { head, token } = await accessTo(cli, cluster)
  const local = await cli.peer()
  return createJobs(
    { dashboardPort: head.dashboardPort, token, ...(cli.timeoutMs === undefined ? {} : { timeoutMs: cli.timeoutMs }) },
    {
      dial: (port, signal) => local.openStream({ peer: head.nodeId, service: String(port), via: 'auto', signal }),
      logger: cli.logger.child({ room: 'jobs' }),
    },
  )
}
