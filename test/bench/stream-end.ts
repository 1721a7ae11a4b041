import type { InterfaceOptions } from 'node-wireguard'

/** What programs/stream-end.ts is started with. Keys are base64. */
export interface StreamEnd {
  readonly privateKey: string
  readonly interface: InterfaceOptions
  /** Inner addresses of the two ends. */
  readonly address: string
  readonly remoteAddress: string
  readonly peer: {
    readonly publicKey: string
    readonly allowedIps: string[]
    readonly endpoint: { readonly address: string; readonly port: number }
  }
  /** The sender's; the receiver has none. */
  readonly sendSeconds?: number
}
