import type { Bench, Figure, Round } from './bench.ts'
import type { Rounds } from './rounds.ts'

/** One case, as it is printed. */
export interface CaseReport {
  readonly ours: number | null
  readonly raw: number | null
  readonly rivals: Readonly<Record<string, number>>
  /** Ours divided by the rival's. */
  readonly ratio: Readonly<Record<string, number>>
  /** The rival with the best figure, and ours divided by it; absent where there is none. */
  readonly best?: { readonly rival: string; readonly ratio: number }
  readonly p50?: number
  readonly p99?: number
}

/** The line of `--json`. The outer figures are the first case's. */
export interface BenchReport extends CaseReport {
  readonly bench: string
  readonly unit: string
  readonly cases: Readonly<Record<string, CaseReport>>
  /** Rounds that the medians are of. */
  readonly runs: number
  readonly notes: readonly string[]
}

/** The middle value; the mean of the two middle ones. Null of nothing. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle]
  if (upper === undefined) return null
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2
}

/** Medians and ratios of all rounds. */
export function makeReport(bench: Bench, rounds: Rounds): BenchReport {
  const cases = Object.fromEntries(bench.cases.map((name) => [name, makeCase(bench, name, rounds.rounds)]))
  const empty: CaseReport = { ours: null, raw: null, rivals: {}, ratio: {} }
  const counts = [...rounds.rounds.values()].map((each) => each.length)
  return {
    bench: bench.name,
    unit: bench.unit,
    ...(cases[bench.cases[0] ?? ''] ?? empty),
    cases,
    runs: Math.min(...counts),
    notes: [
      ...bench.notes,
      ...[...rounds.versions].filter(([, version]) => version !== '').map(([name, version]) => `${name}: ${version}`),
      ...rounds.absent.map(({ name, missing }) => `${name} cannot be had: ${missing}`),
      ...(rounds.disturbed > 0 ? [`${rounds.disturbed} of ${rounds.turns} turns while others used the machine`] : []),
    ],
  }
}

function makeCase({ less = false }: Bench, name: string, rounds: ReadonlyMap<string, readonly Round[]>): CaseReport {
  const middle = (contender: string, key: keyof Figure): number | null => {
    const values = (rounds.get(contender) ?? []).map((round) => round[name]?.[key])
    return rounded(median(values.filter((value) => value !== undefined)))
  }
  const ours = middle('ours', 'value')
  const others = [...rounds.keys()].filter((contender) => contender !== 'ours' && contender !== 'raw')
  // a rival stands beside us only where it does the same work
  const rivals = Object.fromEntries(
    others.flatMap((rival) => {
      const value = middle(rival, 'value')
      return value === null ? [] : [[rival, value]]
    }),
  )
  const ratio = Object.fromEntries(
    Object.entries(rivals).map(([rival, value]) => [rival, rounded((ours ?? Number.NaN) / value) ?? Number.NaN]),
  )
  const [first] = Object.entries(rivals).sort(([, one], [, other]) => (less ? one - other : other - one))
  const best = first === undefined ? {} : { best: { rival: first[0], ratio: ratio[first[0]] ?? Number.NaN } }
  const percentiles = Object.fromEntries(
    (['p50', 'p99'] as const).map((key) => [key, middle('ours', key)]).filter(([, value]) => value !== null),
  )
  return { ours, raw: middle('raw', 'value'), rivals, ratio, ...best, ...percentiles }
}

function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(4))
}

/** A table for people: a row for each case, a column for each contender, ratios in brackets. */
export function formatTable(report: BenchReport): string {
  const rivals = [...new Set(Object.values(report.cases).flatMap((each) => Object.keys(each.rivals)))]
  const rows = [
    [`${report.bench}, ${report.unit}`, 'ours', ...rivals, 'raw', 'best rival'],
    ...Object.entries(report.cases).map(([name, each]) => [
      name,
      number(each.ours),
      ...rivals.map((rival) => `${number(each.rivals[rival] ?? null)} (${number(each.ratio[rival] ?? null)}×)`),
      number(each.raw),
      each.best === undefined ? '–' : `${each.best.rival} (${number(each.best.ratio)}×)`,
    ]),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [
    ...lines,
    `median of ${report.runs}; in brackets ours divided by it`,
    ...report.notes.map((note) => `- ${note}`),
  ].join('\n')
}

function number(value: number | null): string {
  return value === null || Number.isNaN(value) ? '–' : value.toFixed(2)
}
