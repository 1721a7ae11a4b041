import { BLOCK_PORTS, BLOCKS, FIRST_BLOCK_PORT } from '@ropewalk/shared/runtime'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { rayCommand } from './command.ts'
import { rayEnvironment } from './environment.ts'
import { parseNodeId } from './ready.ts'

const devices = { cpus: 2, memoryMiB: 4_096, gpus: 1 }

test('all ports that Ray is given are in the block, and no two are one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: BLOCKS - 1 }), fc.boolean(), (block, isHead) => {
      const ports = FIRST_BLOCK_PORT + block * BLOCK_PORTS
      const head = isHead ? undefined : { address: '100.64.0.1', port: 20_000 }
      const words = rayCommand({ role: isHead ? 'head' : 'worker', address: '100.64.0.2', ports, head, devices })
      const env = rayEnvironment({
        token: 't'.repeat(32),
        interface: 'ropewalk',
        address: '100.64.0.2',
        ports,
        gpus: 1,
      })
      const given = [...words.filter((word) => /^--[a-z-]*port=/.test(word)).map((word) => Number(word.split('=')[1]))]
      for (const [name, value] of Object.entries(env)) if (/^(?!ROPEWALK).*PORT$/.test(name)) given.push(Number(value))
      expect(given.length).toBeGreaterThanOrEqual(10)
      expect(new Set(given).size).toBe(given.length)
      for (const port of given) {
        expect(port).toBeGreaterThanOrEqual(ports)
        expect(port).toBeLessThan(ports + BLOCK_PORTS)
      }
    }),
  )
})

test('objects get 30 % of the leased memory, the rest is for programs', () => {
  const words = rayCommand({ role: 'head', address: '100.64.0.1', ports: 20_000, devices })
  expect(words).toContain(`--object-store-memory=${1_228 * 1024 * 1024}`)
  expect(words).toContain(`--memory=${(4_096 - 1_228) * 1024 * 1024}`)
  expect(words).toContain('--num-gpus=1')
})

test('a core more than there are ports for is not promised', () => {
  const words = rayCommand({ role: 'head', address: '100.64.0.1', ports: 20_000, devices: { ...devices, cpus: 128 } })
  expect(words).toContain('--num-cpus=72')
})

test('the token is on no command line', () => {
  const options = { token: 's3cret'.repeat(8), interface: 'ropewalk', address: '100.64.0.1', ports: 20_000, gpus: 2 }
  expect(rayCommand({ role: 'head', address: '100.64.0.1', ports: 20_000, devices }).join(' ')).not.toContain('s3cret')
  expect(rayEnvironment(options).RAY_AUTH_TOKEN).toBe(options.token)
  expect(rayEnvironment(options).CUDA_VISIBLE_DEVICES).toBe('0,1')
  expect(rayEnvironment({ ...options, gpus: 0 }).CUDA_VISIBLE_DEVICES).toBe('')
})

test("only an id of Ray's is one", () => {
  expect(parseNodeId(`${'0af'.repeat(18)}01\n`)).toBe(`${'0af'.repeat(18)}01`)
  fc.assert(fc.property(fc.string(), (text) => parseNodeId(text) === undefined))
})
