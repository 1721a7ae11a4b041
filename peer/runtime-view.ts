import type { RuntimeView } from '@ropewalk/shared/api'
import type { OfferKeeper } from './runtime/devices/index.ts'

/** What this worker offers, as its sockets tell it. */
export function runtimeView({ offer, link }: Pick<OfferKeeper, 'offer' | 'link'>): RuntimeView {
  return {
    version: 1,
    offered: offer !== undefined,
    maxLeaseMinutes: offer?.maxLeaseMinutes ?? null,
    leases: offer?.leases ?? null,
    link: link === undefined ? null : { ...link, with: [...link.with] },
  }
}

/** The same after the link was measured. @throws RopewalkError `unreachable`, `rate-limited` */
export async function measuredView(keeper: OfferKeeper): Promise<RuntimeView> {
  await keeper.measureNow()
  return runtimeView(keeper)
}
