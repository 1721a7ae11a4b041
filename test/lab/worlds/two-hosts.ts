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

/** The same on a wire that takes large packets, as in a data centre. */
export const twoHostsJumbo: WorldPlan = {
  name: 'two-hosts-jumbo',
  about: 'two hosts, a and b, on one switch whose cables take packets of 9,000 bytes',
  nodes: {
    switch: { kind: 'switch' },
    a: { kind: 'host', on: 'switch', cable: { mtu: 9000 } },
    b: { kind: 'host', on: 'switch', cable: { mtu: 9000 } },
  },
}

/** With somebody between: a forwarder, or who introduces the other two to each other. */
export const threeHosts: WorldPlan = {
  name: 'three-hosts',
  about: 'three hosts, a, b and c, on one switch, IPv4 and IPv6',
  nodes: {
    switch: { kind: 'switch' },
    a: { kind: 'host', on: 'switch' },
    b: { kind: 'host', on: 'switch' },
    c: { kind: 'host', on: 'switch' },
  },
}

/** Two ways from one to the other that share nothing. */
export const twoWays: WorldPlan = {
  name: 'two-ways',
  about: 'two hosts, a and b, on two switches each, IPv4 and IPv6 on both',
  nodes: {
    one: { kind: 'switch', lan: '10.20.1' },
    two: { kind: 'switch', lan: '10.20.2' },
    a: { kind: 'host', on: ['one', 'two'] },
    b: { kind: 'host', on: ['one', 'two'] },
  },
}
