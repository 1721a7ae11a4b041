export { type ExampleResult, exampleResult } from './example-result.ts'
export { openHiringWorld } from './hiring-world.ts'
export { ENGINEER, type MeshWorld, WORKERS } from './mesh-world.ts'
