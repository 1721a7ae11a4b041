import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dropped, firstLeaseId, parseIdMap } from './account.ts'
import { groupPlaces, leaseGroups } from './control-groups.ts'
import { minorOf } from './gpu-devices.ts'
import { portRules, tableName } from './port-rules.ts'
import { environment, FIXED_WORDS, sandboxWords } from './sandbox.ts'
import { Tail } from './tail.ts'

const ID = 'ab'.repeat(16) as never
const DEVICES = { cpus: 2, memoryMiB: 512, gpus: [] }

describe('the user of a lease', () => {
  test('is far from people where all ids exist', () => {
    expect(firstLeaseId('         0          0 4294967295\n')).toBe(700_000)
  })
  test('is in the range for local use where a container knows 65,536 ids', () => {
    expect(firstLeaseId('         0     100000      65536\n')).toBe(64_100)
  })
  test('is shared where there is only one', () => {
    expect(firstLeaseId('         0       1000          1\n')).toBeNull()
    expect(dropped(null).join(' ')).not.toMatch(/reuid|regid|groups/)
  })
  test('any text is a map or none', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseIdMap(text)))
    expect(parseIdMap('0 0 x')).toBeNull()
  })
})

describe('the port rules', () => {
  const rules = { table: tableName(ID), ports: 20_100, mesh: 'ropewalk', user: 700_001, group: 'ropewalk-x' }
  test('begin with an empty table, so that they can be given twice', () => {
    expect(portRules(rules)).toMatch(/^table inet ropewalk-lease-abababab\ndelete table inet ropewalk-lease-abababab\n/)
  })
  test('close the block everywhere but on the mesh, before anything else', () => {
    const [mesh, block] = inputRules(portRules(rules))
    expect(mesh).toBe('iifname "ropewalk" accept')
    expect(block).toBe('iifname != "lo" meta l4proto { tcp, udp } th dport 20100-20199 drop')
  })
  test('know nothing of users where there is one, and nothing of groups where there are none', () => {
    const text = portRules({ ...rules, user: null, group: null })
    expect(text).not.toContain('skuid')
    expect(text).not.toContain('cgroupv2')
    expect(inputRules(text)).toHaveLength(2)
  })
  test('leave packets on lo to users that cannot be told apart', () => {
    for (const rule of inputRules(portRules({ ...rules, user: null })).slice(1))
      expect(rule).toContain('iifname != "lo"')
  })
})

function inputRules(text: string): string[] {
  const [, chain = ''] = /chain in \{[^\n]*\n([^}]*(?:\{[^}]*\}[^}]*)*?)\n {2}\}/.exec(text) ?? []
  return chain
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

describe('the control groups', () => {
  const split = [
    '30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
    '31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
    '32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
  ].join('\n')
  test('of version 1 are below our own, so that our limits are theirs', () => {
    const places = groupPlaces(split, '4:memory:/service\n1:cpu:/\n0::/\n')
    expect(places.split).toEqual({ cpu: '/sys/fs/cgroup/cpu', memory: '/sys/fs/cgroup/memory/service' })
    const groups = leaseGroups(ID, DEVICES, places)
    expect(groups.folders).toContain(`/sys/fs/cgroup/memory/service/ropewalk-${ID}`)
    expect(groups.limits).toContainEqual({
      value: String(512 * 1024 * 1024),
      file: `/sys/fs/cgroup/memory/service/ropewalk-${ID}/memory.limit_in_bytes`,
    })
    expect(groups.view?.inside).toBe('/sys/fs/cgroup/memory')
  })
  test('of version 2 are right below the root, where nftables looks for them', () => {
    const places = { unified: { folder: '/sys/fs/cgroup', limits: true }, split: {} }
    const groups = leaseGroups(ID, DEVICES, places)
    expect(groups.folders).toEqual([`/sys/fs/cgroup/ropewalk-${ID}`])
    expect(groups.limits.map(({ value }) => value)).toEqual(['536870912', '0', '200000 100000', '5120'])
  })
  test('in a container are found where its part of the hierarchy is mounted', () => {
    const places = groupPlaces(
      '31 24 0:27 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
      '4:memory:/docker/x/inner\n',
    )
    expect(places.split.memory).toBe('/sys/fs/cgroup/memory/inner')
  })
  test('any text of the kernel is understood or passed over', () => {
    fc.assert(fc.property(fc.string(), fc.string(), (mounts, own) => void groupPlaces(mounts, own)))
  })
})

describe('the words for bubblewrap', () => {
  const options = {
    folder: '/state/cages/x',
    runtime: '/srv/venv',
    interpreter: ['/srv/.tools/python/3'],
    env: { RAY_AUTH_TOKEN: 'secret' },
    memoryMiB: 512,
    devices: [],
    view: null,
    top: [{ name: 'lib', link: 'usr/lib' }],
  }
  const words = sandboxWords(options).join(' ')
  test('hold the secrets, and the command line none', () => {
    expect(words).toContain('--setenv RAY_AUTH_TOKEN secret')
    expect(FIXED_WORDS.join(' ')).not.toContain('setenv')
  })
  test('make nothing of this machine writable but the folders of the lease', () => {
    const writable = [...words.matchAll(/--bind (\S+)/g)].map(([, from]) => from)
    expect(writable).toEqual(['/state/cages/x/tmp', '/state/cages/x/home'])
  })
  test('open the folders above those that only root can read', () => {
    expect(words).toContain('--perms 0755 --dir /srv --perms 0755 --dir /srv/.tools')
  })
  test('limit what can be put into shared memory', () => {
    expect(words).toContain('--perms 1777 --size 536870912 --tmpfs /dev/shm')
  })
  test('clear the environment first', () => {
    expect(words.indexOf('--clearenv')).toBeLessThan(words.indexOf('--setenv'))
    expect(environment({ HOME: '/x' }).HOME).toBe('/x')
  })
})

test("the driver's number of a GPU is the one in the name of its file", () => {
  expect(minorOf('Model: \t\t NVIDIA H200\nDevice Minor: \t 3\nGPU Excluded:\t No\n')).toBe(3)
  expect(minorOf('')).toBeUndefined()
})

test('of an output of any length the end is kept', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 5_000 })), (parts) => {
      const tail = new Tail()
      for (const part of parts) tail.add(part)
      const kept = tail.toString()
      expect(kept.length).toBeLessThanOrEqual(8_192)
      expect(kept.split('\n').length).toBeLessThanOrEqual(40)
      expect(parts.join('').trimEnd().endsWith(kept)).toBe(true)
    }),
  )
})
