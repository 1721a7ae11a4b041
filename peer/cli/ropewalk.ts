import { doctor } from './commands/doctor.ts'
import { down } from './commands/down.ts'
import { forward } from './commands/forward.ts'
import { invite } from './commands/invite.ts'
import { networkCreate } from './commands/network.ts'
import { paths } from './commands/paths.ts'
import { peers } from './commands/peers.ts'
import { ping } from './commands/ping.ts'
import { revoke } from './commands/revoke.ts'
import { expose, services, unexpose } from './commands/services.ts'
import { ssh } from './commands/ssh.ts'
import { sshConfig } from './commands/ssh-config.ts'
import { sshProxy } from './commands/ssh-proxy.ts'
import { status } from './commands/status.ts'
import { tokenCreate, tokenList, tokenRevoke } from './commands/token.ts'
import { topology } from './commands/topology.ts'
import { up } from './commands/up.ts'
import type { ProgramOptions } from './program.ts'

/** The `ropewalk` command. */
export const ropewalk: Omit<ProgramOptions, 'version'> = {
  name: 'ropewalk',
  description: 'One private network for GPU workers wherever they stand, and one command to reach any of them.',
  groups: { network: 'make a network', token: 'tokens for the HTTP API of the relays' },
  commands: [
    networkCreate,
    invite,
    up,
    down,
    status,
    peers,
    paths,
    ping,
    ssh,
    sshProxy,
    sshConfig,
    forward,
    expose,
    unexpose,
    services,
    topology,
    revoke,
    tokenCreate,
    tokenList,
    tokenRevoke,
    doctor,
  ],
}
