export {
  type DialHead,
  hasEnded,
  type JobStatus,
  type Jobs,
  type JobsDependencies,
  type JobsOptions,
  type JobView,
  type JobWanted,
  type LogOptions,
  type SubmitOptions,
} from './face.ts'
export { createJobs } from './jobs.ts'
export { shellCommand } from './shell-words.ts'
