import { z } from 'zod'

/** The form of a service's name, in records, policies and APIs alike. It starts with a letter, so it is never a port. */
export const SERVICE_NAME = /^[a-z][a-z0-9-]{0,31}$/

/** The name of a service: what `expose` takes and streams ask for. */
export const serviceNameSchema = z
  .string()
  .regex(SERVICE_NAME, 'a service name is a letter, then at most 31 of a–z, 0–9 and "-"')

/** A port, 1–65535. */
export const portSchema = z.int().min(1).max(65_535)

/** The transports that rules and services know. */
export const protocolSchema = z.enum(['tcp', 'udp'])
/** `tcp` or `udp`. */
export type Protocol = z.infer<typeof protocolSchema>

/** Something a worker exposes to members: `expose NAME=PORT`. The target is always loopback, the port the same. */
export const serviceSchema = z.strictObject({
  name: serviceNameSchema,
  port: portSchema,
  protocol: protocolSchema,
  /** It speaks HTTP: browsers may be sent there. */
  http: z.boolean(),
})
/** An exposed service. */
export type Service = z.infer<typeof serviceSchema>

/** Who: `*`, `tag:gpu`, `peer:worker-a` or `node:12D3Koo…`. */
export const selectorSchema = z
  .string()
  .max(128)
  .regex(
    /^(\*|tag:[a-z0-9][a-z0-9-]*|peer:[a-z0-9][a-z0-9-]*|node:[1-9A-HJ-NP-Za-km-z]+)$/,
    'a selector is "*", "tag:…", "peer:…" or "node:…"',
  )

/** A span of ports of one protocol, both ends included. */
export const portSpanSchema = z
  .strictObject({ protocol: protocolSchema, from: portSchema, to: portSchema })
  .refine((span) => span.from <= span.to, 'the first port of a span is above its last')
/** A span of ports. */
export type PortSpan = z.infer<typeof portSpanSchema>

/** One rule. It matches when visitor, worker and (service or port) all match; the first match decides. */
export const ruleSchema = z.strictObject({
  action: z.enum(['allow', 'deny']),
  from: z.array(selectorSchema).min(1).max(64),
  to: z.array(selectorSchema).min(1).max(64),
  /** Exposed services by name; `*` is every exposed one. */
  services: z
    .array(z.union([z.literal('*'), serviceNameSchema]))
    .max(64)
    .default([]),
  /** Ports whether exposed or not. */
  ports: z.array(portSpanSchema).max(64).default([]),
})
/** One rule of a policy. */
export type Rule = z.infer<typeof ruleSchema>

/** The rules of a policy statement, in the order they are tried. What no rule matches is refused. */
export const policySchema = z.strictObject({ rules: z.array(ruleSchema).max(256) })
/** The rules of a policy. */
export type Policy = z.infer<typeof policySchema>

/** What holds until a policy is set: members reach exposed services, nothing else (ICMP echo and replies pass always). */
export const DEFAULT_POLICY: Policy = {
  rules: [{ action: 'allow', from: ['*'], to: ['*'], services: ['*'], ports: [] }],
}

/** The rules of a signed policy; `undefined` for rules that this version cannot read. */
export function readPolicy(rules: Uint8Array): Policy | undefined {
  try {
    return policySchema.parse(JSON.parse(Buffer.from(rules).toString('utf8')))
  } catch {
    return undefined
  }
}
