import type { AuditEvent } from './audit/index.ts'
import type { TunnelEvent } from './tunnels/index.ts'

/** What happens to tunnels, in the words of the audit log. */
export function auditOf(event: TunnelEvent): AuditEvent {
  switch (event.event) {
    case 'agent-up':
    case 'agent-down':
    case 'visitor-up':
    case 'visitor-down':
      return { event: event.event, actor: event.actor, details: { nodeId: event.nodeId }, proven: true }
    case 'stream-open': {
      const { actor, subject, id, waitedMs } = event
      return { event: 'stream-open', actor, subject, details: { stream: id, waitedMs }, proven: true }
    }
    case 'stream-close': {
      const { actor, subject, id, txBytes, rxBytes, durationMs, code } = event
      const details = { stream: id, txBytes, rxBytes, durationMs }
      return { event: 'stream-close', actor, subject, details, proven: true, ...(code === undefined ? {} : { code }) }
    }
    case 'refused': {
      const { what, actor, code, reason } = event
      return { event: 'refused', actor, code, details: { what, reason }, proven: what === 'stream' }
    }
  }
}
