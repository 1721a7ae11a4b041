import { DEVICE, type End, type EndOptions, setUpByWg } from '../wireguard/index.ts'
import type { Guest } from './guest.ts'

/** Linux's own WireGuard in a guest, set up by `wg`. Its process is the machine, which lives on when the end stops. */
export async function startLinux(options: EndOptions & { readonly node: Guest }): Promise<End> {
  const { node } = options
  await node.exec('ip', ['link', 'add', DEVICE, 'type', 'wireguard'])
  const stop = async () => void (await node.exec('ip', ['link', 'delete', DEVICE], { mayFail: true }))
  try {
    return { ...(await setUpByWg(options)), process: node.machine, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
