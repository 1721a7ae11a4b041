export { headOf, PYTHON, RAY_FOLDER, type RayNode, rayCommand } from './command.ts'
export { type RayEnvironmentOptions, rayEnvironment } from './environment.ts'
export { type AwaitRayOptions, awaitRay, RAY_START_TIMEOUT_MS } from './ready.ts'
