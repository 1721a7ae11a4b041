import { until } from '../lab/index.ts'
import { DEVICE, type End, type EndOptions } from './end.ts'
import { setUpByWg } from './set-up.ts'

const START_TIMEOUT_MS = 10_000
/** The first two are wireguard-go's. WG_SUDO: boringtun-cli would become the user who logged in, and here nobody has. */
const ENVIRONMENT = { LOG_LEVEL: 'error', WG_PROCESS_FOREGROUND: '1', WG_SUDO: 'true' }

/** Starts a wireguard-go, whoever built it, or what is started as it is (boringtun-cli), and sets it up by `wg`. */
export async function startWireguardGo(program: string, options: EndOptions): Promise<End> {
  const { node } = options
  // Each node has a /run of its own, so every device can have the same name and control socket.
  const process = node.spawn(program, ['-f', DEVICE], { env: ENVIRONMENT })
  try {
    await until(START_TIMEOUT_MS, `${program} to listen`, async () => {
      const { code } = await node.exec('wg', ['show', DEVICE], { mayFail: true })
      if (process.child.exitCode !== null) throw new Error(`${program} ended: ${process.output()}`)
      return code === 0 ? true : null
    })
    return { ...(await setUpByWg(options)), process, stop: async () => void (await process.stop()) }
  } catch (error) {
    await process.stop()
    throw error
  }
}
