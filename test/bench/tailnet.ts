import { join } from 'node:path'
import { LabError, type LabNode, type LabProcess, until } from '../lab/index.ts'
import type { Absent, Entrant, Round } from './bench.ts'
import { tailscale } from './tailscale.ts'
import { entrant, firstAnswer, type Layer, type Reached, type Track } from './tunnel.ts'

/** Of the third host, which introduces the other two. */
const WORLD = 'three-hosts'
const SOCKET = '--socket=/run/tailscaled.sock'
const START_TIMEOUT_MS = 10_000
const DIRECT_TIMEOUT_MS = 30_000

/** tailscaled between two hosts, on the direct path between them; what it needs to be introduced runs on a third. */
export async function tailscaleEntrant(work: (track: Track) => Promise<Round>): Promise<Entrant | Absent> {
  const found = await tailscale()
  return 'missing' in found ? found : entrant(found.name, found.version, tailnet(found.program), work, WORLD)
}

function tailnet(programs: string): Layer {
  return async (hosts, world) => {
    const introducer = world.node('c')
    const servers = introducer.spawn(join(programs, 'tailnet'), [introducer.address])
    await servers.says(/ready/, START_TIMEOUT_MS)
    const members = await Promise.all(hosts.map((node) => enrol(programs, node, introducer.address)))
    const [a, b] = members
    if (a === undefined || b === undefined) throw new LabError('a tailnet of a bench has two members')
    await Promise.all([a.meets(b), b.meets(a)])
    await firstAnswer(hosts[0], b.address)
    return [a, b]
  }
}

interface Member extends Reached {
  readonly node: LabNode
  /** Waits until packets for the other take the direct path. */
  meets(other: Member): Promise<void>
}

/** Starts a daemon as it comes; nothing of it outlives the process. */
async function enrol(programs: string, node: LabNode, introducer: string): Promise<Member> {
  const words = ['--state=mem:', SOCKET, '--no-logs-no-support']
  const process: LabProcess = node.spawn(join(programs, 'tailscaled'), words)
  const call = (...more: string[]) =>
    node.exec(join(programs, 'tailscale'), [SOCKET, ...more], { mayFail: true, timeoutMs: DIRECT_TIMEOUT_MS })
  const login = [`--login-server=http://${introducer}:8080`, `--hostname=${node.name}`, '--accept-dns=false']
  await until(START_TIMEOUT_MS, 'tailscaled to listen', async () => {
    if (process.child.exitCode !== null) throw new LabError(`tailscaled ended: ${process.output()}`)
    return (await call('version', '--daemon')).code === 0 ? true : null
  })
  const joined = await call('up', ...login, '--timeout=20s')
  if (joined.code !== 0) throw new LabError(`tailscale up failed: ${joined.stderr}${process.output()}`)
  const address = (await call('ip', '-4')).stdout.trim()
  return {
    node,
    process,
    address,
    meets: (other) =>
      until(DIRECT_TIMEOUT_MS, `${node.name} to reach ${other.node.name} directly`, async () => {
        await call('ping', '--until-direct', '--c=3', '--timeout=1s', other.address)
        const { stdout } = await call('status', '--json')
        return stdout.includes(`"CurAddr": "${other.node.address}:`) ? undefined : null
      }),
  }
}
