import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Packed, pack, readmeExample } from './packed.ts'

const require = createRequire(import.meta.url)

const CONSUMER = `
import { createServer } from 'node:net'
import { Device, type DeviceEvent, Forwarder, generatePrivateKey, Splicer, WireguardError, type WireguardErrorCode } from 'node-wireguard'
export async function start(): Promise<string> {
  const device: Device = await Device.open({
    privateKey: generatePrivateKey(),
    listen: [{ address: '127.0.0.1', port: 0 }],
    interface: { rootless: { addresses: ['10.7.0.1/24'], backend: 'netstack' } },
  })
  const tell = (event: DeviceEvent): string => (event.type === 'path-state' ? event.state : event.type)
  for await (const batch of device.events) return batch.map(tell).join()
  const codeOf = (error: unknown): WireguardErrorCode | undefined => (error instanceof WireguardError ? error.code : undefined)
  createServer((socket) => new Splicer().join(socket, socket).closed.then(({ fault }) => fault))
  // @ts-expect-error: a device has no such method
  device.fly()
  return String(codeOf((await Forwarder.open({ listen: [] })).address.port))
}
`
const OPTIONS = {
  strict: true,
  noEmit: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  target: 'es2024',
  lib: ['es2024', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
  typeRoots: [dirname(dirname(require.resolve('@types/node/package.json')))],
}

describe('the package as strangers install it', { timeout: 60_000 }, () => {
  let packed: Packed
  const run = (at: string, ...words: string[]) => packed.run(at, words)
  const installed = (name: string, packages: readonly string[], ...flags: string[]) =>
    packed.installed(name, packages, flags)

  beforeAll(async () => {
    packed = await pack()
  }, 60_000)

  afterAll(() => packed[Symbol.asyncDispose]())

  test('brings up a tunnel by the README’s example, in plain JavaScript, without cargo and without network', async () => {
    const at = await installed('example', packed.tarballs)
    const example = await readmeExample(at)
    expect(example.trim().split('\n').length).toBeLessThanOrEqual(15)
    await writeFile(join(at, 'example.js'), example)
    const { stdout } = await run(at, process.execPath, 'example.js')
    expect(stdout).toBe('hello through the tunnel\n')
    const face = ['node_modules/node-wireguard/dist/index.js', 'node_modules/node-wireguard/dist/index.d.ts']
    for (const file of face) expect(await readFile(join(at, file), 'utf8')).not.toMatch(/\.ts'/)
    const command = await run(at, join(at, 'node_modules/.bin/node-wireguard'), '--version')
    expect(command).toEqual({ stdout: expect.stringMatching(/^node-wireguard \d+\.\d+\.\d+\n$/), stderr: '' })
  })

  test('has declarations that a strict consumer compiles with', async () => {
    const at = await installed('types', packed.tarballs)
    await writeFile(join(at, 'consumer.ts'), CONSUMER)
    await writeFile(join(at, 'tsconfig.json'), JSON.stringify({ compilerOptions: OPTIONS, files: ['consumer.ts'] }))
    const compiled = await run(at, process.execPath, require.resolve('typescript/lib/tsc.js')).catch(({ stdout }) => ({
      stdout,
    }))
    expect(compiled.stdout).toBe('')
  })

  test.each([
    ['x64', 'node-wireguard-linux-x64-gnu'],
    ['arm64', 'node-wireguard-linux-arm64-gnu'],
  ])('asks for the engine of Linux on %s', async (arch, name) => {
    const at = await installed(arch, packed.tarballs)
    const { optionalDependencies } = JSON.parse(
      await readFile(join(at, 'node_modules/node-wireguard/package.json'), 'utf8'),
    )
    expect(optionalDependencies).toHaveProperty([name])
    const body = `Object.defineProperty(process, 'arch', { value: '${arch}' })
      const { platform } = await import('./node_modules/node-wireguard/binaries.mjs')
      console.log('node-wireguard-' + platform().name)`
    const { stdout } = await run(at, process.execPath, '--input-type=module', '--eval', body)
    expect(stdout).toBe(`${name}\n`)
  })

  test('is not installed where there is neither a ready-built engine nor cargo, and says what to do', async () => {
    const failed = await installed('source', packed.tarballs.slice(0, 1), '--omit=optional').catch(
      (error: { stderr: string }) => error,
    )
    expect(failed).toMatchObject({ stderr: expect.stringMatching(/Rust 1\.89 or newer is needed .* install it/) })
  })

  test('says at the first call that its engine is missing, and the next step', async () => {
    const at = await installed('missing', packed.tarballs.slice(0, 1), '--omit=optional', '--ignore-scripts')
    const body = `import { generatePrivateKey } from 'node-wireguard'
      try { generatePrivateKey() } catch ({ code, message, hint }) { console.log(JSON.stringify({ code, message, hint })) }`
    const { stdout } = await run(at, process.execPath, '--input-type=module', '--eval', body)
    expect(JSON.parse(stdout)).toMatchObject({
      code: 'ERR_WIREGUARD_ENGINE_MISSING',
      message: `no engine for ${process.platform} ${process.arch} is installed`,
      hint: expect.stringContaining('npm rebuild node-wireguard'),
    })
  })
})
