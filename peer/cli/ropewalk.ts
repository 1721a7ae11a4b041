import type { ListedCommand, ProgramOptions } from './program.ts'

/** Every command, in the order of the help. Its file is loaded when it is asked for: `ssh-proxy` must not wait for libp2p. */
const commands: readonly ListedCommand[] = [
  {
    name: 'network create',
    summary: 'make a network: its root key and its statement, in the state folder',
    load: async () => (await import('./commands/network.ts')).networkCreate,
  },
  {
    name: 'invite',
    summary: 'print a ticket, with which one machine (or --uses of them) joins the network',
    load: async () => (await import('./commands/invite.ts')).invite,
  },
  {
    name: 'up',
    summary: 'run the peer in the foreground; the first time with a ticket, from then on without',
    load: async () => (await import('./commands/up.ts')).up,
  },
  {
    name: 'down',
    summary: 'stop the peer cleanly: it says good-bye and undoes what it did to this machine',
    load: async () => (await import('./commands/down.ts')).down,
  },
  {
    name: 'status',
    summary: 'this peer, its relays and what needs attention',
    load: async () => (await import('./commands/status.ts')).status,
  },
  {
    name: 'peers',
    summary: 'the members of the network, and how each is reached from here',
    load: async () => (await import('./commands/peers.ts')).peers,
  },
  {
    name: 'paths',
    summary: 'every path to a member with its round trip, loss, MTU, state and bytes',
    load: async () => (await import('./commands/paths.ts')).paths,
  },
  {
    name: 'ping',
    summary: 'echo requests over the mesh; says which path answered',
    load: async () => (await import('./commands/ping.ts')).ping,
  },
  {
    name: 'ssh',
    summary: 'a shell on a worker by the stock ssh, its host key pinned by the mesh',
    load: async () => (await import('./commands/ssh.ts')).ssh,
  },
  {
    name: 'ssh-proxy',
    summary: "join standard input and output with a member's service: the ProxyCommand of ssh",
    load: async () => (await import('./commands/ssh-proxy.ts')).sshProxy,
  },
  {
    name: 'ssh-config',
    summary: 'an ssh_config block with which stock ssh, scp, rsync and editors reach the workers by name',
    load: async () => (await import('./commands/ssh-config.ts')).sshConfig,
  },
  {
    name: 'forward',
    summary: "local ports that lead to a worker's exposed services, until Ctrl-C",
    load: async () => (await import('./commands/forward.ts')).forward,
  },
  {
    name: 'expose',
    summary: 'offer a loopback port of this machine to members, by mesh and by tunnel',
    load: async () => (await import('./commands/services.ts')).expose,
  },
  {
    name: 'unexpose',
    summary: 'offer it no more; its streams are cut',
    load: async () => (await import('./commands/services.ts')).unexpose,
  },
  {
    name: 'services',
    summary: 'what this worker and the other members expose',
    load: async () => (await import('./commands/services.ts')).services,
  },
  {
    name: 'topology',
    summary: 'the whole mesh as this node knows it',
    load: async () => (await import('./commands/topology.ts')).topology,
  },
  {
    name: 'revoke',
    summary: 'end a membership for good: links, streams and the ticket it came with',
    load: async () => (await import('./commands/revoke.ts')).revoke,
  },
  {
    name: 'token create',
    summary: 'a bearer token for the HTTP API of the relays; it opens no stream',
    load: async () => (await import('./commands/token.ts')).tokenCreate,
  },
  {
    name: 'token list',
    summary: 'the tokens that were made here',
    load: async () => (await import('./commands/token.ts')).tokenList,
  },
  {
    name: 'token revoke',
    summary: 'take a token back',
    load: async () => (await import('./commands/token.ts')).tokenRevoke,
  },
  {
    name: 'doctor',
    summary: 'look for what is wrong here, and say the next step',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
]

/** The `ropewalk` command. */
export const ropewalk: Omit<ProgramOptions, 'version'> = {
  name: 'ropewalk',
  description: 'One private network for GPU workers wherever they stand, and one command to reach any of them.',
  groups: { network: 'make a network', token: 'tokens for the HTTP API of the relays' },
  commands,
}
