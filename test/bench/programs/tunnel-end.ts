// One part of a tunnel in a process of its own, for the bench: `relay`, `agent` or `visitor`, with its plan as JSON. The parts
// are the product's; only the list of members is given instead of synced. Prints one line of JSON when it is ready.
import { createServer } from 'node:https'
import { createForward, createServices, createTunnels, selfSignedWeb } from '@ropewalk/peer/tunnels'
import { createFront, createRelayTunnels, createSources, createWebDoor } from '@ropewalk/relay/tunnels'
import { silentLogger } from '@ropewalk/shared/logger'
import { DEFAULT_POLICY } from '@ropewalk/shared/policy'
import { parseRelayUrl } from '@ropewalk/shared/tunnel'
import { keyOf, membersOf, type TunnelPlan } from '../tunnel-members.ts'

const [role, text = ''] = process.argv.slice(2)
const plan = JSON.parse(text) as TunnelPlan

if (role === 'relay') await relay()
else await peer(role === 'agent' ? 'agent' : 'visitor')

function ready(port: number): void {
  process.stdout.write(`${JSON.stringify({ port })}\n`)
}

async function relay(): Promise<void> {
  const sources = createSources({ perSource: 256, total: 4096 })
  const dependencies = { key: keyOf('relay'), members: membersOf('relay'), sources, logger: silentLogger }
  const tunnels = createRelayTunnels({}, dependencies)
  const web = createServer(await selfSignedWeb('127.0.0.1'))
  web.on('upgrade', (request, socket, head) => tunnels.upgrade(request, socket, head))
  const front = createFront(
    { address: '127.0.0.1', port: 0 },
    {
      data: (socket, release) => tunnels.data(socket, release),
      web: createWebDoor(web),
      sources,
      logger: silentLogger,
    },
  )
  await tunnels.start()
  await front.start()
  ready(front.port)
}

async function peer(name: 'agent' | 'visitor'): Promise<void> {
  const [key, agent, services] = [keyOf(name), keyOf('agent'), createServices()]
  const address = parseRelayUrl(`https://127.0.0.1:${plan.relayPort}/`, keyOf('relay').nodeId)
  const tunnels = createTunnels(
    { agent: name === 'agent' },
    {
      key,
      services,
      members: membersOf(name),
      policy: () => DEFAULT_POLICY,
      self: () => ({ nodeId: key.nodeId, name, tags: [] }),
      logger: silentLogger,
      routeTo: () => ({ direct: false, relays: [address] }),
    },
  )
  await tunnels.start()
  tunnels.setRelays([address])
  if (name === 'agent') {
    services.expose({ name: 'sink', port: plan.targetPort, protocol: 'tcp', http: false })
    while (tunnels.relays()[0]?.state !== 'connected') await new Promise((resolve) => setTimeout(resolve, 5))
    ready(plan.targetPort)
    return
  }
  const forward = createForward(
    { mappings: [{ localPort: 0, service: 'sink' }] },
    {
      open: async (service, signal) =>
        (await tunnels.open({ nodeId: agent.nodeId, service, via: 'tunnel', signal })).stream,
      logger: silentLogger,
    },
  )
  await forward.start()
  ready(forward.local[0]?.port ?? 0)
}
