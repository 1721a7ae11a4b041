import type { DeviceOptions, FilterOptions, PathOptions, PeerOptions } from 'node-wireguard'

// What passes between a test and programs/device.ts. Keys are base64.

/** What the device is opened with. */
export type DeviceSettings = Omit<DeviceOptions, 'privateKey'> & { privateKey: string }

/** A call to the device. */
export type DeviceCall =
  | {
      readonly type: 'peer'
      readonly peer: Omit<PeerOptions, 'publicKey' | 'presharedKey'> & { publicKey: string; presharedKey?: string }
      readonly paths: PathOptions[]
    }
  | { readonly type: 'filter'; readonly filter: FilterOptions }
  | { readonly type: 'status' }
