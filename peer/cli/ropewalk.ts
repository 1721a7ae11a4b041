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
    name: 'job submit',
    summary: 'run a command on a cluster with this working directory; follows its log, ends with its exit code',
    load: async () => (await import('./commands/job-submit.ts')).jobSubmit,
  },
  {
    name: 'job logs',
    summary: 'the log of a job; -f follows it until the job ends',
    load: async () => (await import('./commands/job.ts')).jobLogs,
  },
  {
    name: 'job status',
    summary: 'how a job stands',
    load: async () => (await import('./commands/job.ts')).jobStatus,
  },
  {
    name: 'job list',
    summary: 'the jobs of a cluster, the latest first',
    load: async () => (await import('./commands/job.ts')).jobList,
  },
  {
    name: 'job stop',
    summary: 'end a job',
    load: async () => (await import('./commands/job.ts')).jobStop,
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
    name: 'wireguard export',
    summary: "a wg-quick file with which another WireGuard (a phone's, a router's) is a member",
    load: async () => (await import('./commands/wireguard.ts')).wireguardExport,
  },
  {
    name: 'runtime install',
    summary: 'install Ray for this worker: pinned and hashed packages in a folder of their own; needs no peer',
    load: async () => (await import('./commands/runtime-install.ts')).runtimeInstall,
  },
  {
    name: 'runtime leases',
    summary: 'who has hired this worker, what of it, and for how long',
    load: async () => (await import('./commands/runtime-leases.ts')).runtimeLeases,
  },
  {
    name: 'runtime end',
    summary: 'end a lease of this worker before its time',
    load: async () => (await import('./commands/runtime-leases.ts')).runtimeEnd,
  },
  {
    name: 'runtime status',
    summary: "whether it is installed, and what this worker has: cores, memory, disk, GPUs, its link's tier",
    load: async () => (await import('./commands/runtime-status.ts')).runtimeStatus,
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
    name: 'devices',
    summary: 'the workers that can be hired, with their cores, memory, GPUs and link',
    load: async () => (await import('./commands/devices.ts')).devices,
  },
  {
    name: 'cluster create',
    summary: 'hire workers and start Ray on them',
    load: async () => (await import('./commands/cluster.ts')).clusterCreate,
  },
  {
    name: 'cluster list',
    summary: 'the clusters that were hired here',
    load: async () => (await import('./commands/cluster.ts')).clusterList,
  },
  {
    name: 'cluster show',
    summary: 'one cluster: its workers and how they are',
    load: async () => (await import('./commands/cluster.ts')).clusterShow,
  },
  {
    name: 'cluster extend',
    summary: 'hire it for longer',
    load: async () => (await import('./commands/cluster.ts')).clusterExtend,
  },
  {
    name: 'cluster add-worker',
    summary: 'hire one more worker for it',
    load: async () => (await import('./commands/cluster.ts')).clusterAddWorker,
  },
  {
    name: 'cluster remove-worker',
    summary: 'give one of its workers back',
    load: async () => (await import('./commands/cluster.ts')).clusterRemoveWorker,
  },
  {
    name: 'cluster delete',
    summary: 'give all its workers back; nothing of it is left there',
    load: async () => (await import('./commands/cluster.ts')).clusterDelete,
  },
  {
    name: 'cluster env',
    summary: "what Ray's own tools need to reach it, for the shell",
    load: async () => (await import('./commands/cluster.ts')).clusterEnv,
  },
  {
    name: 'cluster open',
    summary: "its dashboard, or a worker's Jupyter, at a port of this machine and in the browser, until Ctrl-C",
    load: async () => (await import('./commands/cluster-open.ts')).clusterOpen,
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
  groups: {
    job: 'jobs on a cluster',
    cluster: 'Ray on hired workers',
    network: 'make a network',
    runtime: 'Ray on this worker',
    token: 'tokens for the HTTP API of the relays',
    wireguard: 'devices with another WireGuard',
  },
  commands,
}
