import { z } from 'zod'
import { policySchema } from '../policy/index.ts'
import { snapshotSchema, topologyLinkSchema, topologyNodeSchema, topologyRelaySchema } from '../topology/index.ts'
import { contract } from './endpoint.ts'
import { pageQuerySchema, pageSchema } from './page.ts'
import { runtimeApi } from './runtime-api.ts'
import { agentSchema, auditSchema, doneSchema, statementSchema, streamSchema, versionSchema } from './schema.ts'

const idParams = z.strictObject({ id: z.string().min(1).max(128) })

/** The API on a relay's public port. `/topology/events` (SSE) stands beside it: its events are snapshots and deltas. */
export const relayApi = contract({
  devices: runtimeApi.devices,
  topology: {
    method: 'GET',
    path: '/topology',
    summary: 'Nodes, links and relays',
    scope: 'read',
    answer: snapshotSchema,
  },
  nodes: {
    method: 'GET',
    path: '/nodes',
    summary: 'The members of the network',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('nodes', topologyNodeSchema),
  },
  node: {
    method: 'GET',
    path: '/nodes/:id',
    summary: 'One member, by node id or name',
    scope: 'read',
    params: idParams,
    answer: z.strictObject({ version: versionSchema, node: topologyNodeSchema }),
  },
  nodePaths: {
    method: 'GET',
    path: '/nodes/:id/paths',
    summary: 'The links of one member as both ends report them',
    scope: 'read',
    params: idParams,
    query: pageQuerySchema,
    answer: pageSchema('links', topologyLinkSchema),
  },
  relays: {
    method: 'GET',
    path: '/relays',
    summary: 'The relays of the network',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('relays', topologyRelaySchema),
  },
  agents: {
    method: 'GET',
    path: '/tunnels/agents',
    summary: 'Workers that hold a tunnel to this relay',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('agents', agentSchema),
  },
  tunnels: {
    method: 'GET',
    path: '/tunnels',
    summary: 'Live streams through this relay',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('streams', streamSchema),
  },
  endTunnel: {
    method: 'DELETE',
    path: '/tunnels/:id',
    summary: 'End a live stream',
    scope: 'write',
    params: idParams,
    answer: doneSchema,
  },
  policy: {
    method: 'GET',
    path: '/policy',
    summary: 'The policy in force',
    scope: 'read',
    answer: z.strictObject({ version: versionSchema, sequence: z.int().nonnegative(), policy: policySchema }),
  },
  setPolicy: {
    method: 'PUT',
    path: '/policy',
    summary: 'Take in a policy that root or an admin has signed',
    scope: 'write',
    body: statementSchema,
    answer: doneSchema,
  },
  invite: {
    method: 'POST',
    path: '/invites',
    summary: 'Take in an invite that root or an admin has signed',
    scope: 'write',
    body: statementSchema,
    answer: doneSchema,
  },
  revoke: {
    method: 'POST',
    path: '/revocations',
    summary: 'Take in a list of revocations that root or an admin has signed',
    scope: 'write',
    body: statementSchema,
    answer: doneSchema,
  },
  audit: {
    method: 'GET',
    path: '/audit',
    summary: 'Who did what, newest last',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('entries', auditSchema),
  },
})
