import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** The face's file, as a text in JavaScript. */
export const FACE = JSON.stringify(join(import.meta.dirname, '../index.ts'))

const PRELUDE = `
  import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
  import { Device, Forwarder, generatePrivateKey, Splicer } from ${FACE}
  const attempt = (call) => { try { return call() } catch { return '' } } // a thread or file may end while it is looked at
  // The engine's threads; those of single calls (wireguard-call) end by themselves once they have answered.
  const threads = () => [...new Set(readdirSync('/proc/self/task')
    .map((task) => attempt(() => readFileSync('/proc/self/task/' + task + '/comm', 'utf8').trim()))
    .filter((name) => /^(wireguard-(?!call)|netstack)/.test(name)))].sort().join()
  // A thread has its name from when it first runs.
  const threadsOnce = async (wanted) => {
    for (const limit = performance.now() + 5000; threads() !== wanted && performance.now() < limit; ) await null
    return threads()
  }
  const descriptors = () => readdirSync('/proc/self/fd')
    .map((fd) => attempt(() => readlinkSync('/proc/self/fd/' + fd)))
    .filter((target) => /socket|eventfd|tun/.test(target)).length
  const open = (face) => Device.open({ privateKey: generatePrivateKey(), listen: [{ address: '127.0.0.1', port: 0 }], interface: face })
  const rootless = (backend = 'netstack') => open({ rootless: { addresses: ['10.77.0.1/24'], backend } })`

/**
 * Runs a program of its own that has the face at hand (`open`, `rootless`, `threads`, `descriptors`), perhaps by another
 * one (`unshare …`). It must end by itself within 15 s; what it printed comes back, line by line.
 */
export async function program(body: string, by: readonly string[] = []): Promise<string[]> {
  const [first, ...rest] = [...by, process.execPath, '--input-type=module-typescript', '--eval', `${PRELUDE}\n${body}`]
  const { stdout } = await run(first ?? process.execPath, rest, { timeout: 15_000 })
  return stdout.trim().split('\n')
}
