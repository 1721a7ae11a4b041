import type { WorldPlan } from '../plan.ts'
import { everyNat } from './every-nat.ts'
import { oneLan } from './one-lan.ts'
import { threeWorkers } from './three-workers.ts'
import { threeHosts, twoHosts, twoHostsJumbo, twoWays } from './two-hosts.ts'

/** All worlds that have a name. */
export const worlds: readonly WorldPlan[] = [
  threeWorkers,
  oneLan,
  twoHosts,
  twoHostsJumbo,
  threeHosts,
  twoWays,
  everyNat,
]
