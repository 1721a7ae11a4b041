import type { ClusterAccess } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { LocalClient } from '../client/index.ts'
import type { Invocation } from './invocation.ts'

/** How to reach a cluster, by its name; without one, the only cluster. @throws RopewalkError `not-found`, `bad-usage` */
export async function accessTo(cli: Invocation, name: string | undefined): Promise<ClusterAccess> {
  const local = await cli.peer()
  return await local.api.clusterAccess({ params: { cluster: await namedCluster(local, name) } })
}

/** The cluster that is meant where none is named: the only one. @throws RopewalkError `not-found`, `bad-usage` */
export async function namedCluster({ api }: LocalClient, name: string | undefined): Promise<string> {
  if (name !== undefined) return name
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
