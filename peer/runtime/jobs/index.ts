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
  type PackageBytes,
  type PackageStore,
} from './face.ts'
export { createJobs } from './jobs.ts'
export { sendWorkingDir } from './send-working-dir.ts'
export { shellCommand } from './shell-words.ts'
