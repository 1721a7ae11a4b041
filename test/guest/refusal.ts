import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { missingBecause } from '../wireguard/index.ts'
import { guestImage } from './image.ts'

const run = promisify(execFile)

/** Why no guest can be started here, in one line; null where one can. Fetches and builds what is not there yet. */
export async function guestRefusal(): Promise<string | null> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the guest is made for Linux on x86-64'
  try {
    await run(QEMU, ['--version'])
  } catch (error) {
    return missingBecause(error, QEMU)
  }
  try {
    await guestImage()
    return null
  } catch (error) {
    return missingBecause(error, 'apt-cache')
  }
}

/** Always in software: a nested /dev/kvm may be there and hang. */
export const QEMU = 'qemu-system-x86_64'
