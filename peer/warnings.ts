import { networkInterfaces } from 'node:os'
import { parseAddress, prefixContains } from '@ropewalk/shared/addressing'
import { readPolicy } from '@ropewalk/shared/policy'
import type { Rooms, Warning } from './rooms.ts'

/** What deserves the user's eye now, each with a next step. */
export function warningsOf(rooms: Rooms): Warning[] {
  return [...overlaps(rooms), ...relays(rooms), ...policies(rooms), ...discovered(rooms)]
}

/** Another network of this machine uses addresses of ours: what goes to them is a matter of luck. */
function overlaps({ discovery, options, device }: Rooms): Warning[] {
  const { network } = discovery
  return Object.entries(networkInterfaces()).flatMap(([name, infos = []]) => {
    if (device.backend === 'tun' && name === options.tunName) return []
    const clash = infos.find(
      (info) => info.family === 'IPv4' && prefixContains(network.ipv4Prefix, parseAddress(info.address)),
    )
    if (clash === undefined) return []
    return [
      {
        code: 'address-overlap',
        message: `${name} has ${clash.address}, which lies in the mesh's prefix ${network.ipv4Prefix}`,
        hint: 'reach members by their IPv6 addresses, or make the network with another --ipv4-prefix',
      },
    ]
  })
}

function relays({ tunnels }: Rooms): Warning[] {
  return tunnels.relays().flatMap(({ relay, state, reason }) =>
    state !== 'offline'
      ? []
      : [
          {
            code: reason?.code ?? 'unreachable',
            message: `The relay ${relay.url} is not reachable: ${reason?.message ?? 'no reason known'}`,
            hint: reason?.hint ?? 'see that it runs and that this machine may reach its port',
          },
        ],
  )
}

function policies({ discovery }: Rooms): Warning[] {
  const statement = discovery.policy()
  if (statement === undefined || readPolicy(statement.rules) !== undefined) return []
  const message = 'The policy in force has rules that this version cannot read: nothing is let in'
  return [{ code: 'unsupported', message, hint: 'update ropewalk on this machine' }]
}

function discovered({ warnings }: Rooms): Warning[] {
  return [...warnings.values()]
}
