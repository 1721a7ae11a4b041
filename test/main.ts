// npm test [-- --slow] [FILTER…]: the engine's tests by cargo, then the TypeScript tests by vitest, beside the code and in
// the lab. Every FILTER is a part of a test file's path; with one, cargo is left out.
import { cargoTests, labTests, type Tally, unitTests } from './run/index.ts'

const slow = process.argv.includes('--slow')
const filters = process.argv.slice(2).filter((word) => word !== '--slow')
const unknown = filters.find((word) => word.startsWith('-'))
if (unknown !== undefined) {
  console.error(`npm test does not know ${unknown}\ntry: npm test -- [--slow] [FILTER…]`)
  process.exit(2)
}

const parts = [...(filters.length === 0 ? [cargoTests] : []), unitTests, labTests]
const tallies: Tally[] = []
for (const part of parts) tallies.push(await part({ slow, filters }))

console.log('')
for (const { name, passed, failed, skipped, seconds, notes } of tallies) {
  console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped (${seconds.toFixed(0)} s)`)
  for (const note of notes) console.log(`  ${note}`)
}
const sum = (key: 'passed' | 'failed' | 'skipped') => tallies.reduce((total, tally) => total + tally[key], 0)
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`)
process.exitCode = sum('failed') === 0 && sum('passed') > 0 ? 0 : 1
