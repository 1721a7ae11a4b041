import { z } from 'zod'
import { serviceNameSchema, serviceSchema } from '../policy/index.ts'
import { snapshotSchema } from '../topology/index.ts'
import { contract } from './endpoint.ts'
import { jobsApi } from './jobs-api.ts'
import { pageQuerySchema, pageSchema } from './page.ts'
import { runtimeApi } from './runtime-api.ts'
import { runtimeSchema } from './runtime-schema.ts'
import {
  doneSchema,
  offeredServiceSchema,
  pathSchema,
  peerSchema,
  statementSchema,
  statusSchema,
  streamSchema,
  versionSchema,
  viaSchema,
} from './schema.ts'

/** A member's name, node id or mesh address, as people type it. */
const peerParams = z.strictObject({ peer: z.string().min(1).max(128) })

/** The Upgrade token of `POST /streams`; after the 101 the connection is the stream's bytes. */
export const STREAM_UPGRADE = 'ropewalk-stream/1'

/** What `POST /streams` is asked for, in the query, since the body's place belongs to the stream. */
export const streamQuerySchema = z.strictObject({
  peer: z.string().min(1).max(128),
  /** A service's name or port: `ssh`, `8888`. */
  service: z.string().min(1).max(64),
  via: viaSchema.default('auto'),
})
/** What `POST /streams` is asked for. */
export type StreamQuery = z.infer<typeof streamQuerySchema>

/** One answer to a ping over the mesh. */
export const pingSchema = z.strictObject({
  version: versionSchema,
  peer: z.string(),
  address: z.string(),
  rttMs: z.number().nonnegative(),
  /** Which path answered: `direct`, or a kind and the relay's name. */
  path: z.string(),
})

/** A member as a device with another WireGuard can be told of it. */
const stockPeerSchema = z.strictObject({
  name: z.string(),
  publicKey: z.string(),
  addresses: z.array(z.string()),
  /** Where everybody can reach it; null for one behind a NAT or firewall. */
  endpoint: z.string().nullable(),
  /** Where it is on its own network. */
  lanEndpoint: z.string().nullable(),
})
/** One member of {@link stockSchema}. */
export type StockPeer = z.infer<typeof stockPeerSchema>

/** What a device with another WireGuard has to know. */
const stockSchema = z.strictObject({
  version: versionSchema,
  network: z.string(),
  addresses: z.array(z.string()),
  mtu: z.int(),
  /** Until when it is a member, ms since 1970. */
  notAfterMs: z.number(),
  peers: z.array(stockPeerSchema),
})

/** The API that a peer serves on its own sockets; the command line speaks only to it. */
export const peerApi = contract({
  ...runtimeApi,
  ...jobsApi,
  status: {
    method: 'GET',
    path: '/status',
    summary: 'This peer, its relays and what needs attention',
    scope: 'read',
    answer: statusSchema,
  },
  peers: {
    method: 'GET',
    path: '/peers',
    summary: 'The members this peer knows',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('peers', peerSchema),
  },
  peer: {
    method: 'GET',
    path: '/peers/:peer',
    summary: 'One member',
    scope: 'read',
    params: peerParams,
    answer: z.strictObject({ version: versionSchema, peer: peerSchema }),
  },
  paths: {
    method: 'GET',
    path: '/peers/:peer/paths',
    summary: 'Every path to a member',
    scope: 'read',
    params: peerParams,
    answer: z.strictObject({ version: versionSchema, peer: z.string(), paths: z.array(pathSchema) }),
  },
  ping: {
    method: 'POST',
    path: '/ping',
    summary: 'One echo over the mesh',
    scope: 'read',
    body: z.strictObject({ peer: z.string().min(1).max(128), timeoutMs: z.int().min(1).max(60_000).default(5000) }),
    answer: pingSchema,
  },
  services: {
    method: 'GET',
    path: '/services',
    summary: 'What this peer and the others expose',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('services', offeredServiceSchema),
  },
  expose: {
    method: 'POST',
    path: '/services',
    summary: 'Expose a loopback port of this machine to members',
    scope: 'write',
    body: serviceSchema,
    answer: z.strictObject({ version: versionSchema, service: serviceSchema }),
  },
  unexpose: {
    method: 'DELETE',
    path: '/services/:name',
    summary: 'Expose it no more; its streams are cut',
    scope: 'write',
    params: z.strictObject({ name: serviceNameSchema }),
    answer: doneSchema,
  },
  topology: {
    method: 'GET',
    path: '/topology',
    summary: 'The whole mesh as this peer knows it',
    scope: 'read',
    answer: snapshotSchema,
  },
  streams: {
    method: 'GET',
    path: '/streams',
    summary: 'Live streams of this peer, in and out',
    scope: 'read',
    query: pageQuerySchema,
    answer: pageSchema('streams', streamSchema),
  },
  endStream: {
    method: 'DELETE',
    path: '/streams/:id',
    summary: 'End a live stream',
    scope: 'write',
    params: z.strictObject({ id: z.string().min(1).max(64) }),
    answer: doneSchema,
  },
  revoke: {
    method: 'POST',
    path: '/revocations',
    summary: 'Take in a signed list of revocations',
    scope: 'write',
    body: statementSchema,
    answer: doneSchema,
  },
  setPolicy: {
    method: 'PUT',
    path: '/policy',
    summary: 'Take in a signed policy',
    scope: 'write',
    body: statementSchema,
    answer: doneSchema,
  },
  admitStock: {
    method: 'POST',
    path: '/wireguard',
    summary: 'Let in a device with another WireGuard, by a bundle that the root has signed, and say whom it can reach',
    scope: 'write',
    body: statementSchema,
    answer: stockSchema,
  },
  runtime: {
    method: 'GET',
    path: '/runtime',
    summary: 'What this peer offers to those who hire, and its link as it was measured',
    scope: 'read',
    answer: runtimeSchema,
  },
  measureLink: {
    method: 'POST',
    path: '/runtime/measure',
    summary: "Measure this peer's link now, with up to three members; takes some seconds each",
    scope: 'write',
    answer: runtimeSchema,
  },
  shutdown: {
    method: 'POST',
    path: '/shutdown',
    summary: 'Say good-bye, undo what this peer did to the machine, and end',
    scope: 'write',
    answer: doneSchema,
  },
})
