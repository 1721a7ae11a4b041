import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { startOf, sweep } from './run-folder.ts'
import { up } from './world.ts'

const WITHIN = { timeout: 5000, interval: 20 }
const main = join(import.meta.dirname, 'main.ts')

/** Processes in a network namespace, found the hard way. */
function processesIn(namespace: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => namespaceOf(pid) === namespace)
}

function namespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return null
  }
}

describe('a world leaves nothing behind', () => {
  test('when it goes down: no process of it lives, and the files of the run are gone', async () => {
    const world = await up('two-hosts')
    const namespaces = world.nodes.map((node) => namespaceOf(node.holderPid) ?? '')
    expect(new Set([...namespaces, namespaceOf(process.pid)]).size).toBe(4)
    const daemon = world.node('a').spawn('sh', ['-c', 'setsid sleep 1000 & echo started; sleep 1000'])
    await daemon.says(/started/)
    const folder = await world.folder()
    await world.down()
    await expect.poll(() => namespaces.flatMap(processesIn), WITHIN).toEqual([])
    expect(existsSync(folder)).toBe(false)
  })

  test('when its owner is killed with -9, daemons of its nodes included', async () => {
    const program = `
      import { up } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      const world = await up('three-workers')
      const daemon = world.node('worker-a').spawn('sh', ['-c', 'setsid sleep 1000 & echo started; sleep 1000'])
      await daemon.says(/started/)
      const pid = await daemon.pid()
      console.log(JSON.stringify({ folder: await world.folder(), pids: [pid, ...world.nodes.map((n) => n.holderPid)] }))
      setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const { folder, pids } = JSON.parse(await firstLine(owner)) as { folder: string; pids: number[] }
    const namespaces = pids.map((pid) => namespaceOf(pid) ?? '')
    expect(processesIn(namespaces[0] ?? '').length).toBeGreaterThanOrEqual(4)
    owner.kill('SIGKILL')
    await once(owner, 'exit')
    await expect.poll(() => namespaces.flatMap(processesIn), WITHIN).toEqual([])
    // The kernel has taken all but the folder; the next run sweeps that.
    expect(existsSync(folder)).toBe(true)
    await sweep()
    expect(existsSync(folder)).toBe(false)
  })

  test('worlds of two runs do not meet', async () => {
    await using one = await up('two-hosts')
    await using other = await up('two-hosts')
    const { address } = one.node('b')
    expect(other.node('b').address).toBe(address)
    await other.node('b').exec('ip', ['link', 'set', 'eth0', 'down'])
    await one.node('a').exec('ping', ['-c', '1', '-W', '1', address])
  })

  test('what a node writes into /etc and /run no other node sees', async () => {
    await using world = await up('two-hosts')
    const shell = async (node: string, script: string) => (await world.node(node).exec('sh', ['-ec', script])).stdout
    await shell(
      'a',
      'echo secret >/etc/only-a; echo secret >/run/only-a; echo nameserver 10.0.0.1 >/etc/new; mv /etc/new /etc/resolv.conf',
    )
    expect(await shell('a', 'cat /etc/only-a /etc/resolv.conf; hostname')).toBe('secret\nnameserver 10.0.0.1\na\n')
    expect(await shell('b', 'ls /etc/only-a /run/only-a 2>/dev/null || cat /etc/resolv.conf; hostname')).not.toMatch(
      /secret|10\.0/,
    )
    expect(existsSync('/etc/only-a')).toBe(false)
  })

  test('killing by name in one node spares the others', async () => {
    await using world = await up('two-hosts')
    const [mine, theirs] = ['a', 'b'].map((name) => world.node(name).spawn('sleep', ['1000']))
    await Promise.all([mine?.pid(), theirs?.pid()])
    await world
      .node('a')
      .exec('sh', ['-c', 'cd /proc; for p in [0-9]*; do [ "$(cat $p/comm)" = sleep ] && kill $p; done; true'])
    expect(await mine?.ended).toMatchObject({ signal: 'SIGTERM' })
    expect(startOf((await theirs?.pid()) ?? 0)).not.toBeNull()
  })
})

describe('the command', () => {
  const lab = (...words: string[]) =>
    spawnSync(process.execPath, [main, ...words], { encoding: 'utf8', timeout: 30_000 })
  afterEach(() => void lab('down', 'one-lan'))

  test('brings a world up, runs in it with its status, lists it and takes it down', () => {
    const started = lab('up', 'one-lan')
    expect(started.stderr).toBe('')
    expect(started.stdout).toMatch(/worker-a +192\.168\.1\.10/)
    expect(lab('up', 'one-lan')).toMatchObject({ status: 1, stderr: expect.stringContaining('is up already') })
    expect(lab('run', 'one-lan', 'worker-a', '--', 'sh', '-c', 'hostname; exit 7')).toMatchObject({
      status: 7,
      stdout: 'worker-a\n',
    })
    expect(lab('list').stdout).toMatch(/one-lan +up \d+/)
    expect(lab('down', 'one-lan').status).toBe(0)
    expect(lab('list').stdout).toMatch(/one-lan +- /)
    expect(lab('run', 'one-lan', 'worker-a', '--', 'true')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('not up'),
    })
  })

  test('says what it does not understand, with status 2', () => {
    expect(lab()).toMatchObject({ status: 2, stderr: expect.stringContaining('usage') })
    expect(lab('up', 'atlantis')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no world is called atlantis'),
    })
  })

  const [command, ...args] = ordinaryUser()
  const canRead = spawnSync(command, [...args, 'test', '-r', main]).status === 0

  test.skipIf(!canRead)('works for an ordinary user, in a user namespace', () => {
    const run = (...words: string[]) =>
      spawnSync(command, [...args, process.execPath, main, ...words], { encoding: 'utf8', timeout: 30_000 })
    try {
      expect(run('up', 'two-hosts')).toMatchObject({ status: 0, stderr: '' })
      expect(run('run', 'two-hosts', 'a', '--', 'ping', '-c', '1', 'fd20::2').status).toBe(0)
    } finally {
      expect(run('down', 'two-hosts').status).toBe(0)
    }
  })
})

/** The words before a command that make it run without root's rights; none are needed where root is nobody special. */
function ordinaryUser(): [string, ...string[]] {
  const isRoot = process.getuid?.() === 0 && !inUserNamespace()
  return isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : ['env']
}

function inUserNamespace(): boolean {
  return !/^\s*0\s+0\s+4294967295/.test(execFileSync('cat', ['/proc/self/uid_map'], { encoding: 'utf8' }))
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk)
    if (text.includes('\n')) break
  }
  return text.slice(0, text.indexOf('\n'))
}
