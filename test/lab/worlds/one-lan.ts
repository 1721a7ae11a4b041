import type { WorldPlan } from '../plan.ts'

/** An office: everybody can reach everybody, and all look the same from outside. */
export const oneLan: WorldPlan = {
  name: 'one-lan',
  about: 'two workers and an engineer on one LAN behind one easy NAT, a relay with a public address',
  nodes: {
    internet: { kind: 'internet' },
    relay: { kind: 'host', on: 'internet' },
    office: { kind: 'nat', nat: 'easy', on: 'internet' },
    'worker-a': { kind: 'host', on: 'office' },
    'worker-b': { kind: 'host', on: 'office' },
    engineer: { kind: 'host', on: 'office' },
  },
}
