import { z } from 'zod'
import { serviceSchema } from '../policy/index.ts'
import { pathKindSchema } from '../topology/index.ts'

/** First field of every JSON result. */
export const versionSchema = z.literal(1)
const version = versionSchema
const bytes = z.number().int().nonnegative()
/** Milliseconds; absent measurements are `null` so that scripts see the key. */
const millis = z.number().nonnegative().nullable()

/** How a peer reaches a relay. */
export const relayStateSchema = z.enum(['connected', 'connecting', 'offline'])

/** A relay as this peer sees it. */
export const relayStatusSchema = z.strictObject({
  url: z.string(),
  name: z.string(),
  state: relayStateSchema,
  rttMs: millis,
})

/** Something that deserves the user's eye. */
export const warningSchema = z.strictObject({ code: z.string(), message: z.string(), hint: z.string() })

/** `ropewalk status -o json`. */
export const statusSchema = z.strictObject({
  version,
  self: z.strictObject({
    name: z.string(),
    nodeId: z.string(),
    network: z.string(),
    /** Mesh addresses, IPv6 first. */
    addresses: z.array(z.string()),
    wireguardPublicKey: z.string(),
    mode: z.enum(['tun', 'rootless', 'kernel']),
    uptimeSeconds: z.number().nonnegative(),
  }),
  relays: z.array(relayStatusSchema),
  peers: z.strictObject({
    known: z.number().int(),
    online: z.number().int(),
    direct: z.number().int(),
    relayed: z.number().int(),
  }),
  warnings: z.array(warningSchema),
})
/** `ropewalk status -o json`. */
export type Status = z.infer<typeof statusSchema>

/** One path to a peer. */
export const pathSchema = z.strictObject({
  id: z.number().int(),
  kind: pathKindSchema,
  local: z.string(),
  remote: z.string(),
  state: z.enum(['active', 'standby', 'probing', 'suspect', 'down']),
  rttMs: millis,
  jitterMs: millis,
  lossRatio: z.number().min(0).max(1),
  mtu: z.number().int().nonnegative(),
  txBytes: bytes,
  rxBytes: bytes,
})
/** One path to a peer. */
export type Path = z.infer<typeof pathSchema>

/** A member as this peer sees it. */
export const peerSchema = z.strictObject({
  name: z.string(),
  nodeId: z.string(),
  addresses: z.array(z.string()),
  tags: z.array(z.string()),
  state: z.enum(['direct', 'relay', 'peer-relay', 'tls', 'connecting', 'offline']),
  rttMs: millis,
  txBytes: bytes,
  rxBytes: bytes,
  lastHandshakeSeconds: z.number().nonnegative().nullable(),
  services: z.array(serviceSchema),
  /** The worker's SSH host keys, as in known_hosts: `ssh-ed25519 AAAA…`. */
  sshHostKeys: z.array(z.string()),
  paths: z.array(pathSchema),
})
/** A member as this peer sees it. */
export type Peer = z.infer<typeof peerSchema>

/** A service with the member that exposes it. */
export const offeredServiceSchema = serviceSchema.extend({ peer: z.string(), nodeId: z.string() })
/** A service with the member that exposes it. */
export type OfferedService = z.infer<typeof offeredServiceSchema>

/** Which way a stream goes: `auto` is the mesh when the path is direct, else a tunnel. */
export const viaSchema = z.enum(['auto', 'mesh', 'tunnel'])
/** Which way a stream goes. */
export type Via = z.infer<typeof viaSchema>

/** A live stream, as its agent, its visitor or the relay between them sees it. */
export const streamSchema = z.strictObject({
  id: z.string(),
  role: z.enum(['agent', 'visitor', 'relay']),
  via: z.enum(['mesh', 'tunnel']),
  visitor: z.string(),
  agent: z.string(),
  /** Unknown to a relay: the service is named inside the inner TLS. */
  service: z.string().optional(),
  openedAt: z.number(),
  /** From the visitor to the agent. */
  txBytes: bytes,
  rxBytes: bytes,
})
/** A live stream. */
export type Stream = z.infer<typeof streamSchema>

/** An agent that holds a control stream to the relay. */
export const agentSchema = z.strictObject({
  nodeId: z.string(),
  name: z.string(),
  since: z.number(),
  pooled: z.number().int(),
  streams: z.number().int(),
})
/** An agent that holds a control stream to the relay. */
export type Agent = z.infer<typeof agentSchema>

/** A line of the audit log. */
export const auditSchema = z.strictObject({
  id: z.string(),
  at: z.number(),
  event: z.string(),
  actor: z.string(),
  subject: z.string().optional(),
  code: z.string().optional(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
})
/** A line of the audit log. */
export type AuditEntry = z.infer<typeof auditSchema>

/** A signed statement as text: base64url of its bytes. At most 1 MiB. */
export const statementSchema = z.strictObject({ statement: z.base64url().max(1_400_000) })

/** Nothing to say but that it is done. */
export const doneSchema = z.strictObject({ version, done: z.literal(true) })
