import type { DeviceOptions, FilterOptions, PathOptions, PeerOptions } from 'node-wireguard'

// What passes between a test and programs/device.ts. Keys are base64.

/** What the device is opened with. */
export type DeviceSettings = Omit<DeviceOptions, 'privateKey'> & { privateKey: string }

/** A way to a peer; the session's secret is base64. */
export type SentPath = Omit<PathOptions, 'session'> & {
  readonly session?: { readonly slot: number; readonly secret: string }
}

/** A call to the device. */
export type DeviceCall =
  | {
      readonly type: 'peer'
      readonly peer: Omit<PeerOptions, 'publicKey' | 'presharedKey'> & { publicKey: string; presharedKey?: string }
      readonly paths: readonly SentPath[]
    }
  | { readonly type: 'filter'; readonly filter: FilterOptions }
  | { readonly type: 'fwmark'; readonly mark: number }
  | { readonly type: 'status' }
  | { readonly type: 'counters' }
