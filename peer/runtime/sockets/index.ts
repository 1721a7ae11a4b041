export { listeningSockets, usedPorts } from './table.ts'
