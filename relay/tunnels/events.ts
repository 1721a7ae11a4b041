import type { ErrorCode } from '@ropewalk/shared/errors'

/** What happens to tunnels: for the audit log and the metrics. Names are members' names. */
export type TunnelEvent =
  | {
      readonly event: 'agent-up' | 'agent-down' | 'visitor-up' | 'visitor-down'
      readonly actor: string
      readonly nodeId: string
    }
  | {
      readonly event: 'stream-open'
      readonly id: string
      readonly actor: string
      readonly subject: string
      readonly waitedMs: number
    }
  | {
      readonly event: 'stream-close'
      readonly id: string
      readonly actor: string
      readonly subject: string
      /** From the visitor to the agent, and back. */
      readonly txBytes: number
      readonly rxBytes: number
      readonly durationMs: number
      readonly code?: ErrorCode
    }
  | {
      readonly event: 'refused'
      /** What was refused: a control stream, a data connection, a stream. */
      readonly what: 'control' | 'data' | 'stream'
      /** A member's name once proven, else the source address. */
      readonly actor: string
      readonly code: ErrorCode
      readonly reason: string
    }
