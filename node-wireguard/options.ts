/** An address and a port, both as numbers go on the wire; IPv6 without brackets, a zone (`%eth0`) is not taken. */
export type Endpoint = { address: string; port: number }

/** An address with its prefix length: `fd00::1/64`, `100.88.0.1/16`; without one it is a single address. */
export type Prefix = string

/** Where inner packets come from and go to. */
export type InterfaceOptions =
  /** A kernel TUN, named and configured by this device; needs CAP_NET_ADMIN. `mtu` 1280 to 9000, default 1408. */
  | { tun: { name: string; mtu?: number; addresses: Prefix[] } }
  /**
   * No rights needed: a TUN in a private user namespace (`namespace`: faster, complete) or a TCP/IP stack inside the
   * engine (`netstack`). `auto`, the default, takes the first where this machine allows it.
   */
  | { rootless: { mtu?: number; addresses: Prefix[]; backend?: 'auto' | 'namespace' | 'netstack' } }
  /**
   * An interface of Linux's own WireGuard; needs CAP_NET_ADMIN and the kernel's module. `listen` must be `0.0.0.0` and `::` at
   * one port, every peer `vanilla`. It has one path for each peer and **no filter**: what a peer may send comes in.
   */
  | { kernel: { name: string; mtu?: number; addresses: Prefix[] } }

/** What a device is opened with. */
export type DeviceOptions = {
  /** X25519, 32 bytes; zeros: none yet, and no handshake until there is one. */
  privateKey: Uint8Array
  /** Local UDP addresses, one socket each; port 0 takes a free one. IPv4 and IPv6 are two sockets (`0.0.0.0`, `::`). */
  listen: Endpoint[]
  /** Mark of the outer packets (SO_MARK), for routing policy and firewalls; 0, the default: none. Needs CAP_NET_ADMIN. */
  fwmark?: number
  /** The network interface that the UDP sockets are tied to; absent: all. */
  bindInterface?: string
  interface: InterfaceOptions
  /**
   * Whether WireGuard's own tools (`wg show`, `wg set`) find the device, by a socket in `/var/run/wireguard` that only its
   * owner may use; default false, and only with `tun`. Peers that they add are vanilla ones.
   */
  uapi?: boolean
  /**
   * Threads that move packets, 1 to 8; default 1, and more only with `tun`. Each takes about 5 Gbit/s. What goes out is spread
   * by flows; what one peer sends comes in by one of them, so more help where there are many peers.
   */
  threads?: number
}

/** One peer, whole: what is not said is not there any more. */
export type PeerOptions = {
  /** X25519, 32 bytes; it names the peer everywhere. */
  publicKey: Uint8Array
  /** Inner networks whose packets go to this peer and may come from it. */
  allowedIps: Prefix[]
  /** 32 bytes. */
  presharedKey?: Uint8Array
  /** Seconds between keepalives while nothing else is sent; absent: none. */
  keepaliveSeconds?: number
  /** Another WireGuard implementation: no probes, one path, classic roaming. */
  vanilla?: boolean
  /** Where a vanilla peer is at first; other peers get their paths by `updatePaths`. */
  endpoint?: Endpoint
}

/** A candidate way to a peer: the engine probes it and decides when to use it. */
export type PathOptions = {
  /** The caller's name for it, below 2^31. The engine numbers those that it finds itself from there up. */
  id: number
  /** The id of the local socket it leaves by (`device.sockets`). */
  local: number
  remote: Endpoint
  /** Set when `remote` is a forwarder: our slot there and its secret (32 bytes). */
  session?: { slot: number; secret: Uint8Array }
  /** 0 for direct, more for dearer (0 to 255): a path of a lower class is preferred as long as it works. */
  costClass: number
}

/** How packets are laid on a peer's paths. */
export type ScheduleMode = 'latency' | 'redundant' | 'balance'

/** One thing that peers may send to us. */
export type FilterRule = {
  protocol: 'tcp' | 'udp' | 'icmp'
  /** Lowest and highest destination port, both included; all if absent, ignored for ICMP. */
  ports?: readonly [lowest: number, highest: number]
  /** Networks it may come from; any peer if absent or empty. */
  sources?: Prefix[]
}

/** What may come in beside ICMP echo, ICMP errors and replies to flows that we opened. Everything else is dropped. */
export type FilterOptions = { allow: FilterRule[] }

/** One member's half of a forwarder session; `secret` is 32 bytes, `slot` a number below 2^32 of the relay's choice. */
export type SessionSide = { slot: number; secret: Uint8Array }

/** A session between two members. Known id, slots and secrets: prolongs it. */
export type SessionOptions = {
  id: string
  a: SessionSide
  b: SessionSide
  /** Unix time in milliseconds, within the next hour. */
  expiresAtMs: number
  /** Bytes that may still pass, both ways together; absent: no limit. */
  quotaBytes?: number
}

/** What a forwarder is opened with. */
export type ForwarderOptions = {
  listen: Endpoint[]
  /** Whether STUN is answered on the same sockets; default true. */
  stun?: boolean
  /** Questions (STUN, bind) a second that one IPv4 address or IPv6 /64 may ask, default 50; four times as many at once. */
  strangersPerSecond?: number
}
