/** Counts what each source address has open before it has proven itself, so that one cannot take all slots. */
export interface Sources {
  /** Takes a slot; `undefined` when the source, or the relay, has none left. The function gives it back, once. */
  take(address: string | undefined): (() => void) | undefined
  readonly taken: number
}

/** How many slots there are. */
export interface SourceLimits {
  /** For one IPv4 address or one IPv6 /64. */
  readonly perSource: number
  readonly total: number
}

/** No slots taken. */
export function createSources({ perSource, total }: SourceLimits): Sources {
  const slots = new Map<string, number>()
  let taken = 0
  return {
    get taken() {
      return taken
    },
    take(address) {
      const source = sourceOf(address)
      const held = slots.get(source) ?? 0
      if (held >= perSource || taken >= total) return undefined
      slots.set(source, held + 1)
      taken++
      let given = false
      return () => {
        if (given) return
        given = true
        taken--
        const left = (slots.get(source) ?? 1) - 1
        if (left === 0) slots.delete(source)
        else slots.set(source, left)
      }
    },
  }
}

/** What counts as one source: an IPv4 address, or the /64 of an IPv6 address. */
export function sourceOf(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  const bare = address.split('%')[0] ?? address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)
  if (mapped?.[1] !== undefined) return mapped[1]
  if (!bare.includes(':')) return bare
  const [head = '', tail] = bare.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...right]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
