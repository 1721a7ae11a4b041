import { RopewalkError } from '../errors/index.ts'
import type { Tag } from '../identity/index.ts'

/**
 * The tag of a member whose device runs another WireGuard (`ropewalk wireguard export`): it has a key and addresses, no
 * peer process, no record and no paths, and speaks the plain protocol. No ticket carries it.
 */
export const STOCK_TAG = 'wireguard' as Tag

/** Whether a member's device is such a one. */
export function isStock({ tags }: { readonly tags: readonly Tag[] }): boolean {
  return tags.includes(STOCK_TAG)
}

/** Keeps the tag out of what a person asks for. @throws RopewalkError `bad-input` */
export function refuseStockTag(tags: readonly Tag[]): void {
  if (!isStock({ tags })) return
  throw new RopewalkError('bad-input', `The tag “${STOCK_TAG}” marks devices with another WireGuard`, {
    hint: 'ropewalk wireguard export NAME makes one',
  })
}
