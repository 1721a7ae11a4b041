/** What the kernel counted at one device. */
export interface Counters {
  readonly rxBytes: number
  readonly rxPackets: number
  readonly rxDropped: number
  readonly txBytes: number
  readonly txPackets: number
  readonly txDropped: number
}

interface Direction {
  readonly bytes: number
  readonly packets: number
  readonly dropped: number
}

interface Shown {
  readonly ifname: string
  readonly stats64: { readonly rx: Direction; readonly tx: Direction }
}

/** Reads `ip -json -statistics link show`. */
export function parseCounters(json: string): Record<string, Counters> {
  const devices = JSON.parse(json) as readonly Shown[]
  return Object.fromEntries(
    devices.map(({ ifname, stats64: { rx, tx } }) => [
      ifname,
      {
        rxBytes: rx.bytes,
        rxPackets: rx.packets,
        rxDropped: rx.dropped,
        txBytes: tx.bytes,
        txPackets: tx.packets,
        txDropped: tx.dropped,
      },
    ]),
  )
}
