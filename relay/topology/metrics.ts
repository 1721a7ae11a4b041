import type { Topology } from '@ropewalk/peer/topology'
import type { Watchers } from '@ropewalk/peer/watchers'
import { Gauge, type Registry } from 'prom-client'

/** Declares what can be counted of the topology. */
export function registerTopologyMetrics(
  registry: Registry,
  { topology, watchers }: { readonly topology: Topology; readonly watchers: Watchers },
): void {
  const registers = [registry]
  new Gauge({
    name: 'ropewalk_topology_nodes',
    help: 'Members of the network by state',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset()
      for (const state of ['online', 'offline', 'revoked']) this.set({ state }, 0)
      for (const { state } of topology.snapshot().nodes) this.inc({ state })
    },
  })
  new Gauge({
    name: 'ropewalk_topology_links',
    help: 'Links between members by state and kind',
    labelNames: ['state', 'kind'],
    registers,
    collect() {
      this.reset()
      for (const { state, kind } of topology.snapshot().links) this.inc({ state, kind })
    },
  })
  new Gauge({
    name: 'ropewalk_topology_sequence',
    help: 'Changes of the topology since this process started',
    registers,
    collect() {
      this.set(topology.snapshot().sequence)
    },
  })
  new Gauge({
    name: 'ropewalk_topology_watchers',
    help: 'Open event streams',
    registers,
    collect() {
      this.set(watchers.count)
    },
  })
}
