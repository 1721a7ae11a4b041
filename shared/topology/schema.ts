import { z } from 'zod'
import { serviceSchema } from '../policy/index.ts'

/** How packets of a link travel; the same words everywhere. */
export const pathKindSchema = z.enum(['direct', 'relay', 'peer-relay', 'tls'])
/** How packets of a link travel. */
export type PathKind = z.infer<typeof pathKindSchema>

const nodeIdSchema = z.string().min(1).max(64)
const bytesSchema = z.number().int().nonnegative()
const millisSchema = z.number().nonnegative()

/** A member of the network. Times are milliseconds since 1970. */
export const topologyNodeSchema = z.strictObject({
  nodeId: nodeIdSchema,
  name: z.string(),
  tags: z.array(z.string()),
  /** Mesh addresses, IPv6 first. */
  addresses: z.array(z.string()),
  relay: z.boolean(),
  /** `offline` after 15 s without a word of it. */
  state: z.enum(['online', 'offline', 'revoked']),
  lastHeardAt: z.number(),
  services: z.array(serviceSchema),
})
/** A member of the network. */
export type TopologyNode = z.infer<typeof topologyNodeSchema>

/** What one end says about a link. */
export const linkEndSchema = z.strictObject({
  up: z.boolean(),
  kind: pathKindSchema,
  /** Node id of the relay in between, where there is one. */
  via: nodeIdSchema.optional(),
  rttMs: millisSchema.optional(),
  jitterMs: millisSchema.optional(),
  lossRatio: z.number().min(0).max(1).optional(),
  mtu: z.number().int().positive().optional(),
  txBytes: bytesSchema,
  rxBytes: bytesSchema,
})
/** What one end says about a link. */
export type LinkEnd = z.infer<typeof linkEndSchema>

/** Two members that hold a path to each other; `a` is the smaller node id. */
export const topologyLinkSchema = z.strictObject({
  id: z.string(),
  a: nodeIdSchema,
  b: nodeIdSchema,
  /** `one-way`: the two ends do not say the same. */
  state: z.enum(['up', 'one-way', 'down']),
  kind: pathKindSchema,
  rttMs: millisSchema.optional(),
  /** Each end's own words; absent when it has said nothing for 15 s. */
  endA: linkEndSchema.optional(),
  endB: linkEndSchema.optional(),
})
/** Two members that hold a path to each other. */
export type TopologyLink = z.infer<typeof topologyLinkSchema>

/** A relay with what stands on it. */
export const topologyRelaySchema = z.strictObject({
  nodeId: nodeIdSchema,
  name: z.string(),
  url: z.string(),
  state: z.enum(['online', 'offline']),
})
/** A relay. */
export type TopologyRelay = z.infer<typeof topologyRelaySchema>

/** The whole mesh as one node knows it. Lists are sorted by id. */
export const snapshotSchema = z.strictObject({
  version: z.literal(1),
  /** Changes when the collector restarts: sequences of two epochs cannot be compared. */
  epoch: z.string(),
  sequence: z.number().int().nonnegative(),
  at: z.number(),
  nodes: z.array(topologyNodeSchema),
  links: z.array(topologyLinkSchema),
  relays: z.array(topologyRelaySchema),
})
/** The whole mesh as one node knows it. */
export type Snapshot = z.infer<typeof snapshotSchema>

/** What changed from sequence `since` to `sequence`. */
export const deltaSchema = z.strictObject({
  version: z.literal(1),
  epoch: z.string(),
  since: z.number().int().nonnegative(),
  sequence: z.number().int().nonnegative(),
  at: z.number(),
  nodes: z.strictObject({ set: z.array(topologyNodeSchema), removed: z.array(z.string()) }),
  links: z.strictObject({ set: z.array(topologyLinkSchema), removed: z.array(z.string()) }),
  relays: z.strictObject({ set: z.array(topologyRelaySchema), removed: z.array(z.string()) }),
})
/** What changed between two snapshots. */
export type Delta = z.infer<typeof deltaSchema>

/** What a node tells its relays every 5 s and 500 ms after a change. */
export const reportSchema = z.strictObject({
  /** Rises with every report of a node; a lower one is old and is ignored. */
  sequence: z.number().int().nonnegative(),
  at: z.number(),
  links: z.array(linkEndSchema.extend({ peer: nodeIdSchema })).max(10_000),
})
/** What a node tells its relays. */
export type Report = z.infer<typeof reportSchema>
