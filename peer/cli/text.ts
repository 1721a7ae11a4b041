import { styleText } from 'node:util'

type Cell = string | number | null | undefined

/** A table without borders: columns as wide as their longest cell, two spaces between, no space at the end of a line. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[], colours: boolean): string {
  if (rows.length === 0) return ''
  const texts = rows.map((row) => row.map((cell) => (cell === null || cell === undefined ? '–' : String(cell))))
  const widths = head.map((title, column) => Math.max(title.length, ...texts.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const title = line(head)
  return `${[colours ? styleText('dim', title, { validateStream: false }) : title, ...texts.map(line)].join('\n')}\n`
}

/** Bytes for people: `1.5 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [bytes, 0]
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}

/** Milliseconds for people: `0.42 ms`, `120 ms`. */
export function millisText(millis: number | null): string | null {
  if (millis === null) return null
  return `${millis < 10 ? millis.toFixed(2) : millis.toFixed(0)} ms`
}

/** Seconds for people: `42 s`, `3 min`, `5 h`, `2 d`. */
export function secondsText(seconds: number | null): string | null {
  if (seconds === null) return null
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}
