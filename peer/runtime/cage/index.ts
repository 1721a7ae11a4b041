export { type CagesDependencies, type CagesOptions, createCages } from './cages.ts'
export {
  type Cage,
  type CageAnswer,
  type CageEnd,
  type CageSpec,
  type Cages,
  type ExecOptions,
  HOME_INSIDE,
  RUNTIME_INSIDE,
} from './face.ts'
