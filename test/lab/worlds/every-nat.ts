import type { WorldPlan } from '../plan.ts'

/** One host behind each kind of NAT, and two behind a carrier's. */
export const everyNat: WorldPlan = {
  name: 'every-nat',
  about: 'a host behind each kind of NAT (easy twice, accepted, hard, short, carrier), two public hosts',
  nodes: {
    internet: { kind: 'internet' },
    'public-a': { kind: 'host', on: 'internet' },
    'public-b': { kind: 'host', on: 'internet' },
    'nat-easy': { kind: 'nat', nat: 'easy', on: 'internet' },
    'nat-other': { kind: 'nat', nat: 'easy', on: 'internet' },
    'nat-accepted': { kind: 'nat', nat: 'accepted', on: 'internet' },
    'nat-hard': { kind: 'nat', nat: 'hard', on: 'internet' },
    'nat-short': { kind: 'nat', nat: 'short', on: 'internet' },
    carrier: { kind: 'nat', nat: 'easy', on: 'internet', lan: '100.72.1' },
    'nat-carried': { kind: 'nat', nat: 'easy', on: 'carrier' },
    easy: { kind: 'host', on: 'nat-easy' },
    other: { kind: 'host', on: 'nat-other' },
    accepted: { kind: 'host', on: 'nat-accepted' },
    hard: { kind: 'host', on: 'nat-hard' },
    short: { kind: 'host', on: 'nat-short' },
    carried: { kind: 'host', on: 'nat-carried' },
  },
}
