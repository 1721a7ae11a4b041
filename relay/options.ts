import type { PeerOptions } from '@ropewalk/peer'

/** How a relay is run. */
export interface RelayOptions {
  readonly peer: Omit<PeerOptions, 'relay'>
  /** Where the one public TCP port listens. */
  readonly listen: { readonly address: string; readonly port: number }
  /** UDP: STUN and the packet forwarder. */
  readonly udpPort: number
  readonly tls: TlsChoice
  /** The domain whose subdomains will be workers' services; a self-signed certificate covers it. */
  readonly domain?: string | undefined
  readonly version: string
}

/** How the public port is secured. */
export type TlsChoice =
  | { readonly kind: 'files'; readonly certFile: string; readonly keyFile: string }
  | { readonly kind: 'self-signed' }
  /** Plain HTTP; taken on loopback only. */
  | { readonly kind: 'insecure-loopback' }
