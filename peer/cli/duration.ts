import { RopewalkError } from '@ropewalk/shared/errors'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `10s`, `500ms`, `24h`, `7d` in milliseconds; a bare number is seconds. @throws RopewalkError `bad-usage` */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text.trim())
  const unit = UNITS[match?.[2] ?? 's']
  if (match?.[1] === undefined || unit === undefined) {
    throw new RopewalkError('bad-usage', `“${text}” is not a duration`, { hint: 'write 500ms, 10s, 5m, 24h or 7d' })
  }
  return Math.round(Number(match[1]) * unit)
}
