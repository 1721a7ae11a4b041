import { DEVICE, type End, type EndOptions, type Remote } from './end.ts'

/** An end whose interface is there, set up and asked by `wg` and `ip`. */
export async function setUpByWg(options: EndOptions): Promise<Omit<End, 'process' | 'stop'>> {
  const { node, keys, addresses, listenPort, mtu } = options
  const wg = async (...words: string[]) => (await node.exec('wg', words)).stdout
  // wg opens /dev/stdin anew, which works for a pipe and not for the socket that Node gives us.
  const wgSet = (secret: Buffer | undefined, ...words: string[]) =>
    node.exec('sh', ['-c', 'cat | wg set "$@"', 'sh', DEVICE, ...words], { input: secret?.toString('base64') ?? '' })
  await wgSet(keys.privateKey, 'listen-port', listenPort.toString(), 'private-key', '/dev/stdin')
  for (const address of addresses) await node.exec('ip', ['address', 'add', address, 'dev', DEVICE])
  await node.exec('ip', ['link', 'set', DEVICE, ...(mtu === undefined ? [] : ['mtu', mtu.toString()]), 'up'])
  return {
    node,
    publicKey: keys.publicKey,
    address: addresses[0]?.replace(/\/.*/, '') ?? '',
    setPeer: async (remote) => {
      await wgSet(remote.presharedKey, 'peer', remote.publicKey.toString('base64'), ...peerWords(remote))
    },
    handshakeAge: async (publicKey) => {
      const at = Number(field(await wg('show', DEVICE, 'latest-handshakes'), publicKey))
      return at > 0 ? Date.now() / 1000 - at : null
    },
    endpointOf: async (publicKey) => {
      const endpoint = field(await wg('show', DEVICE, 'endpoints'), publicKey)
      return endpoint === undefined || endpoint === '(none)' ? null : endpoint
    },
  }
}

function peerWords({ allowedIps, endpoint, presharedKey, keepaliveSeconds }: Remote): string[] {
  const words = ['allowed-ips', allowedIps.join(',')]
  if (presharedKey !== undefined) words.push('preshared-key', '/dev/stdin')
  if (keepaliveSeconds !== undefined) words.push('persistent-keepalive', keepaliveSeconds.toString())
  if (endpoint !== undefined) {
    const { address, port } = endpoint
    words.push('endpoint', address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)
  }
  return words
}

/** The value beside a public key in what `wg show DEVICE FIELD` prints. */
function field(text: string, publicKey: Buffer): string | undefined {
  const line = text.split('\n').find((each) => each.startsWith(publicKey.toString('base64')))
  return line?.split('\t')[1]
}
