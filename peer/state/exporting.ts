import { generateSigningKey, generateWireguardKeys, type NodeName, type Tag } from '@ropewalk/shared/identity'
import { type Bundle, refuseStockTag, STOCK_TAG } from '@ropewalk/shared/membership'
import { admitByRoot, requireNetwork, requireRoot } from './founding.ts'
import type { State } from './state.ts'

/** A device with another WireGuard as the root has let it in. */
export interface StockDevice {
  readonly bundle: Bundle
  /** 32 bytes; they are kept nowhere but in the file that is made of them. */
  readonly privateKey: Uint8Array
}

/**
 * Lets a device in that runs no peer of ours. Its node key signs its certificate and is then forgotten: nobody can speak
 * for it on libp2p. @throws RopewalkError `missing-right`, `state-missing`, `bad-input`
 */
export async function admitStockDevice(
  state: State,
  options: { readonly name: NodeName; readonly tags: readonly Tag[]; readonly nowMs: number },
): Promise<StockDevice> {
  refuseStockTag(options.tags)
  const network = await requireNetwork(state)
  const { root } = await requireRoot(state)
  const identity = { nodeKey: generateSigningKey(), wireguardKeys: generateWireguardKeys() }
  const tags = [...options.tags, STOCK_TAG]
  const { bundle } = admitByRoot(network, identity, root, { ...options, tags, rights: [] })
  return { bundle, privateKey: identity.wireguardKeys.exportPrivateKey() }
}
