export { cargoTests } from './cargo.ts'
export { labTests } from './lab.ts'
export type { Tally } from './tally.ts'
export { unitTests } from './vitest.ts'
