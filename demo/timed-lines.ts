import { styleText } from 'node:util'

/** Gives a function that prints a line for people, after the seconds since now. */
export function timedLines(): (line: string) => void {
  const began = performance.now()
  return (line) => {
    const seconds = `${((performance.now() - began) / 1000).toFixed(1)} s`.padStart(7)
    console.log(`${styleText('dim', seconds)}  ${line}`)
  }
}
