import type { WorldPlan } from '../plan.ts'

/** The least that two ends need; what benches and interop use. */
export const twoHosts: WorldPlan = {
  name: 'two-hosts',
  about: 'two hosts, a and b, on one switch, IPv4 and IPv6',
  nodes: {
    switch: { kind: 'switch' },
    a: { kind: 'host', on: 'switch' },
    b: { kind: 'host', on: 'switch' },
  },
}
