export { createStack, type Stack } from './stack.ts'
export { type Startable, type StartableBody, type StartOptions, startable } from './startable.ts'
