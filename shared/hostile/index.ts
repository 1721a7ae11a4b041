export { CORPUS, damaged, expectOnlyTypedErrors } from './hostile.ts'
