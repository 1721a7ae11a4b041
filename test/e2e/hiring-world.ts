import type { DeviceView } from '@ropewalk/shared/api'
import { until } from '../lab/index.ts'
import { ENGINEER, MeshWorld, WORKERS } from './mesh-world.ts'

const OFFERS_TIMEOUT_MS = 30_000

export interface HiringWorldOptions {
  /** Hears of each step. */
  readonly progress?: (line: string) => void
  /** Ends it between two steps. */
  readonly signal?: AbortSignal
}

/** Three workers that can be hired, each behind a NAT, and an engineer on a laptop without root; `hirers` may hire. */
export async function openHiringWorld(
  hirers: readonly string[] = [ENGINEER],
  { progress, signal }: HiringWorldOptions = {},
): Promise<MeshWorld> {
  const step = (line: string): void => {
    signal?.throwIfAborted()
    progress?.(line)
  }
  step('making hosts, NAT routers and an internet between them, and a relay with a public address')
  const mesh = await MeshWorld.open()
  try {
    step('starting three workers, each behind a NAT of its own, and an engineer’s laptop without root')
    for (const name of hirers) await mesh.ticket(name, ['--hire'])
    const ticketed = (name: string) => ({ ticketed: hirers.includes(name) })
    await Promise.all(WORKERS.map((name) => mesh.start(name, ticketed(name))))
    await mesh.start(ENGINEER, { ...ticketed(ENGINEER), args: ['--rootless'] })
    await Promise.all([...WORKERS, ENGINEER].map((name) => mesh.ready(name)))
    step('all are connected')
    await offers(mesh, WORKERS.length)
    step('three workers can be hired')
    return mesh
  } catch (error) {
    await mesh[Symbol.asyncDispose]()
    throw error
  }
}

/** Waits until so many workers offer themselves. */
export async function offers(mesh: MeshWorld, count: number): Promise<void> {
  await until(OFFERS_TIMEOUT_MS, `the offers of ${count} workers`, async () => {
    const { devices } = await mesh.json<{ devices: DeviceView[] }>('engineer', ['devices'])
    return devices.filter(({ state }) => state === 'online').length === count ? true : null
  })
}
