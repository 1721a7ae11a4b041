import type { WorldPlan } from '../plan.ts'

/** What most people have: nobody but the relay has an open port. */
export const threeWorkers: WorldPlan = {
  name: 'three-workers',
  about:
    'three workers behind a NAT each (easy, easy, hard), an engineer behind one more, a relay with a public address',
  nodes: {
    internet: { kind: 'internet' },
    relay: { kind: 'host', on: 'internet' },
    'home-a': { kind: 'nat', nat: 'easy', on: 'internet' },
    'home-b': { kind: 'nat', nat: 'easy', on: 'internet' },
    'home-c': { kind: 'nat', nat: 'hard', on: 'internet' },
    cafe: { kind: 'nat', nat: 'easy', on: 'internet' },
    'worker-a': { kind: 'host', on: 'home-a' },
    'worker-b': { kind: 'host', on: 'home-b' },
    'worker-c': { kind: 'host', on: 'home-c' },
    engineer: { kind: 'host', on: 'cafe' },
  },
}
