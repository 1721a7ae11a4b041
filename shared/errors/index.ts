export { ERRORS, type ErrorCode, type ExitCode, exitCodeOf, httpStatusOf, isErrorCode } from './codes.ts'
export {
  type ErrorDetails,
  errorFromWire,
  isRopewalkError,
  messageOf,
  RopewalkError,
  toRopewalkError,
} from './error.ts'
export { fromProblem, PROBLEM_TYPE, type Problem, toProblem } from './problem.ts'
