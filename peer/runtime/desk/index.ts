export { createDesk, type Desk, type DeskDependencies, type DeskLease, type DeskOptions } from './desk.ts'
export type { Host, Start, Started } from './host.ts'
export type { Capacity } from './objection.ts'
export { openSpentLeases, type SpentLeases } from './spent.ts'
