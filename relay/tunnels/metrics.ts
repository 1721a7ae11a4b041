import { Counter, Gauge, type Registry } from 'prom-client'
import type { TunnelEvent } from './events.ts'
import type { RelayTunnels } from './tunnels.ts'

/** The metrics of tunnels. Give `count` to the tunnels as `onEvent`, and the tunnels to `watch`. */
export interface TunnelMetrics {
  count(event: TunnelEvent): void
  watch(tunnels: RelayTunnels): void
}

/** Registers the metrics of tunnels. */
export function createTunnelMetrics(registry: Registry): TunnelMetrics {
  const registers = [registry]
  const opened = new Counter({ name: 'ropewalk_tunnel_streams_total', help: 'Streams joined', registers })
  const bytes = new Counter({
    name: 'ropewalk_tunnel_bytes_total',
    help: 'Bytes of closed streams, by direction',
    labelNames: ['direction'] as const,
    registers,
  })
  const refused = new Counter({
    name: 'ropewalk_tunnel_refused_total',
    help: 'What was refused, by kind and code',
    labelNames: ['what', 'code'] as const,
    registers,
  })
  return {
    count(event) {
      if (event.event === 'stream-open') opened.inc()
      else if (event.event === 'refused') refused.inc({ what: event.what, code: event.code })
      else if (event.event === 'stream-close') {
        bytes.inc({ direction: 'to_agent' }, event.txBytes)
        bytes.inc({ direction: 'to_visitor' }, event.rxBytes)
      }
    },
    watch(tunnels) {
      new Gauge({
        name: 'ropewalk_tunnel_connections',
        help: 'What there is now, by kind',
        labelNames: ['kind'] as const,
        registers,
        collect() {
          for (const [kind, count] of Object.entries(tunnels.counts())) this.set({ kind }, count)
        },
      })
    },
  }
}
