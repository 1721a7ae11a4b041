import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const DRIVER = '/proc/driver/nvidia/gpus'
/** What every program with a GPU needs beside the GPU itself. */
const SHARED = ['/dev/nvidiactl', '/dev/nvidia-uvm', '/dev/nvidia-uvm-tools', '/dev/nvidia-modeset']

/** The device files of GPUs, by their numbers in the order of their places on the bus, as NVIDIA's tools count. */
export async function gpuDevices(gpus: readonly number[]): Promise<string[]> {
  if (gpus.length === 0) return []
  const places = (await readdir(DRIVER).catch(() => [])).sort()
  const minors = await Promise.all(
    gpus.map(async (gpu) => {
      const place = places[gpu]
      if (place === undefined) return gpu
      return minorOf(await readFile(join(DRIVER, place, 'information'), 'utf8').catch(() => '')) ?? gpu
    }),
  )
  return [...SHARED, ...minors.map((minor) => `/dev/nvidia${minor}`)]
}

/** The number in a device file's name, by what the driver says of a GPU. */
export function minorOf(information: string): number | undefined {
  const [, digits] = /^Device Minor:\s*(\d{1,4})\s*$/m.exec(information) ?? []
  return digits === undefined ? undefined : Number(digits)
}
