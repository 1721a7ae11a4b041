import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { rayPort } from '@ropewalk/shared/runtime'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RayNode, rayCommand, rayEnvironment } from '../../peer/runtime/ray/index.ts'
import { checkout, type LabNode, up, type World, type WorldPlan } from '../lab/index.ts'
import { CageHost } from './cage-host.ts'
import { hostState } from './host-state.ts'
import { ensureRay } from './ray-runtime.ts'

const runtime = ensureRay()

/** What a head and a worker together may take to be alive, in ms; on two cores, after this machine did something else. */
const ALIVE_MS = 60_000
const TEST_MS = 120_000
const END_MS = 2_000

/** Workers with a mesh and a LAN of their own; the mesh is a cable here, so nothing but port rules is between them. */
const plan: WorldPlan = {
  name: 'ray-hosts',
  about: 'two workers on a mesh and a LAN, and somebody else on that LAN',
  nodes: {
    mesh: { kind: 'switch', lan: '10.30.0' },
    lan: { kind: 'switch' },
    head: { kind: 'host', on: ['mesh', 'lan'] },
    worker: { kind: 'host', on: ['mesh', 'lan'] },
    outsider: { kind: 'host', on: 'lan' },
  },
}
const MESH = 'eth0'
const devices = { cpus: 1, memoryMiB: 3_000, gpus: 0 }
const token = randomBytes(32).toString('hex')

interface Member {
  readonly id: string
  readonly on: LabNode
  readonly host: CageHost
  readonly node: RayNode
}

describe.skipIf(runtime === undefined)('a real Ray in cages of two hosts', () => {
  let world: World
  let head: Member
  let worker: Member
  const took: Record<string, number> = {}
  const memoryMiB: Record<string, number> = {}

  beforeAll(async () => {
    world = await up(plan)
    head = await member('head', 20_000)
    worker = await member('worker', 20_100, { address: head.node.address, port: rayPort(20_000, 'gcs') })
  })
  afterAll(async () => {
    await world?.down()
    const shown = (figures: Record<string, number>) =>
      Object.entries(figures).map(([what, figure]) => `${what} ${Math.round(figure)}`)
    console.log(`Ray, in ms: ${shown(took).join(', ')}; memory in MiB: ${shown(memoryMiB).join(', ')}`)
  })

  async function member(name: 'head' | 'worker', ports: number, above?: RayNode['head']): Promise<Member> {
    const on = world.node(name)
    const host = new CageHost(on, join(await world.folder(), name))
    const node: RayNode = { role: name, address: on.address, ports, devices, head: above }
    return { id: randomBytes(16).toString('hex'), on, host, node }
  }

  async function start({ id, host, node }: Member, timeoutMs?: number): Promise<string> {
    const { address, ports } = node
    const spec = {
      id,
      command: rayCommand(node),
      env: rayEnvironment({ token, interface: MESH, address, ports, gpus: 0 }),
      runtime,
      devices: { ...devices, gpus: [] },
      ports,
      mesh: { interface: MESH, addresses: [address] },
    }
    await host.ask({ what: 'open', spec })
    return host.ask<string>({ what: 'ray', id, node, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
  }

  async function timed<T>(what: string, work: Promise<T>): Promise<T> {
    const started = performance.now()
    const result = await work
    took[what] = performance.now() - started
    return result
  }

  const ray = (words: string) => `python3 -m ray.scripts.scripts ${words}`
  const api = () => `http://${head.node.address}:${rayPort(head.node.ports, 'dashboard')}`

  test(
    'is alive',
    async () => {
      const ids = [await timed('head', start(head)), await timed('worker', start(worker))]
      expect(new Set(ids).size).toBe(2)
      for (const { host, id, on } of [head, worker]) memoryMiB[on.name] = await memory(host, id)
    },
    ALIVE_MS,
  )

  async function memory(host: CageHost, id: string): Promise<number> {
    const kib = await host.sh(
      id,
      "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ { sum += $2 } END { print sum }'",
    )
    return Number(kib) / 1024
  }

  test(
    'runs a job on both, and its command-line tools work',
    async () => {
      const program = join(checkout, 'test/runtime/programs/two-nodes.py')
      const script = (await head.on.exec('cat', [program])).stdout
      await head.host.sh(head.id, `mkdir /tmp/job; cat >/tmp/job/main.py <<'END'\n${script}\nEND`)
      const submit = ray(`job submit --address ${api()} --working-dir /tmp/job -- python3 main.py`)
      const said = await timed('job', head.host.sh(head.id, submit))
      expect(/^nodes (\S+) (\S+)$/m.exec(said)).not.toBeNull()
      expect(said).toContain('same True')
      expect(await worker.host.sh(worker.id, ray(`status --address ${head.node.address}:20000`))).toMatch(/Active:/)
      expect(await worker.host.sh(worker.id, ray(`list nodes --address ${api()}`))).toMatch(/Total: 2/)
    },
    TEST_MS,
  )

  test(
    "has a server for each of Ray's clients, as `ray://` wants it",
    async () => {
      const address = `ray://${head.node.address}:${rayPort(head.node.ports, 'clientServer')}`
      const program = `import ray; ray.init("${address}"); print(len(ray.nodes()))`
      expect(await worker.host.sh(worker.id, `python3 -c '${program}'`)).toMatch(/2$/)
    },
    TEST_MS,
  )

  test('listens in its block and nowhere else, and a neighbour on the LAN reaches none of it', async () => {
    for (const { on, node } of [head, worker]) {
      const ports = await listening(on)
      expect(ports.length).toBeGreaterThan(5)
      expect(ports.filter((port) => port < node.ports || port >= node.ports + 100)).toEqual([])
      const lan = on.addresses.find((address) => address !== node.address && address.includes('.')) ?? ''
      // Linux takes in what is for its address on the mesh from every interface.
      await world.node('outsider').exec('ip', ['route', 'add', node.address, 'via', lan])
      for (const address of [lan, node.address]) expect(await open(world.node('outsider'), address, ports)).toEqual([])
      const other = on === head.on ? worker : head
      expect(await open(other.on, node.address, ports)).not.toEqual([])
    }
  })

  test('does not talk to who has not the token', async () => {
    const asks = `curl -s -o /dev/null -w '%{http_code}' ${api()}/api/jobs/`
    const { stdout } = await worker.on.exec('sh', ['-c', asks])
    expect(stdout).toBe('401')
    expect(
      await worker.host.sh(
        worker.id,
        `curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $RAY_AUTH_TOKEN" ${api()}/api/jobs/`,
      ),
    ).toBe('200')
  })

  test(
    'of one worker that cannot reach its head is told in a sentence',
    async () => {
      const lost = {
        ...worker,
        id: randomBytes(16).toString('hex'),
        node: { ...worker.node, ports: 20_200, head: { address: worker.node.address, port: 20_299 } },
      }
      await expect(start(lost, 3_000)).rejects.toThrow(
        /^Ray on 10\.30\.0\.2 is not alive after 3 s: no connection to the head/,
      )
      await lost.host.ask({ what: 'stop', id: lost.id })
    },
    TEST_MS,
  )

  test('is gone in time', async () => {
    for (const { host, id, on } of [worker, head]) {
      const ms = await host.ask<number>({ what: 'stop', id })
      took[`stop of ${on.name}`] = ms
      expect(ms).toBeLessThan(END_MS)
      const state = await hostState(on, host.folder)
      expect(state.folder).toEqual([])
      expect(state.rules).toBe('')
      expect(state.processes.filter((line) => line.includes('ray'))).toEqual([])
    }
  })
})

/** All TCP ports that anybody listens on, but for those that are for the loopback interface only and Ray's clients. */
async function listening(node: LabNode): Promise<number[]> {
  const { stdout } = await node.exec('ss', ['-Hlnt'])
  const locals = stdout.split('\n').flatMap((line) => line.trim().split(/\s+/).slice(3, 4))
  const ports = locals
    .filter((local) => !/^127\.|^\[::ffff:127\./.test(local))
    .map((local) => Number(local.split(':').at(-1)))
  return [...new Set(ports)].sort()
}

/** Those of the ports that answer, be it by a refusal. */
async function open(from: LabNode, address: string, ports: readonly number[]): Promise<number[]> {
  const program = `
import socket, concurrent.futures
def call(port):
    try: socket.create_connection(('${address}', port), 1).close()
    except ConnectionRefusedError: pass
    except TimeoutError: return None
    return port
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(*filter(None, pool.map(call, [${ports.join(',')}])))`
  const { stdout } = await from.exec('python3', ['-c', program])
  return stdout.trim().split(/\s+/).filter(Boolean).map(Number)
}
