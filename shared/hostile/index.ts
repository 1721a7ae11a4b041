export { heldBytes } from './heap.ts'
export { CORPUS, damaged, damagedText, expectOnlyTypedErrors } from './hostile.ts'
