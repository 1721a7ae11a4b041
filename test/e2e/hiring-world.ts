import type { DeviceView } from '@ropewalk/shared/api'
import { until } from '../lab/index.ts'
import { MeshWorld, WORKERS } from './mesh-world.ts'

const OFFERS_TIMEOUT_MS = 30_000

/** Three workers that can be hired, each behind a NAT, and an engineer on a laptop without root; `hirers` may hire. */
export async function openHiringWorld(hirers: readonly string[] = ['engineer']): Promise<MeshWorld> {
  const mesh = await MeshWorld.open()
  try {
    for (const name of hirers) await mesh.ticket(name, ['--hire'])
    const ticketed = (name: string) => ({ ticketed: hirers.includes(name) })
    await Promise.all(WORKERS.map((name) => mesh.start(name, ticketed(name))))
    await mesh.start('engineer', { ...ticketed('engineer'), args: ['--rootless'] })
    await Promise.all([...WORKERS, 'engineer'].map((name) => mesh.ready(name)))
    await offers(mesh, WORKERS.length)
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
