import type { DeviceView } from '@ropewalk/shared/api'
import { until } from '../lab/index.ts'
import { MeshWorld, WORKERS } from './mesh-world.ts'

const OFFERS_TIMEOUT_MS = 30_000

/** Three workers that can be hired, each behind a NAT, and an engineer who may hire them, on a laptop without root. */
export async function openHiringWorld(): Promise<MeshWorld> {
  const mesh = await MeshWorld.open()
  try {
    await mesh.ticket('engineer', ['--hire'])
    await Promise.all(WORKERS.map((name) => mesh.start(name)))
    await mesh.start('engineer', { ticketed: true, args: ['--rootless'] })
    await Promise.all([...WORKERS, 'engineer'].map((name) => mesh.ready(name)))
    await until(OFFERS_TIMEOUT_MS, 'the offers of three workers', async () => {
      const { devices } = await mesh.json<{ devices: DeviceView[] }>('engineer', ['devices'])
      return devices.length === WORKERS.length ? true : null
    })
    return mesh
  } catch (error) {
    await mesh[Symbol.asyncDispose]()
    throw error
  }
}
