export { ensureRay } from './ray-runtime.ts'
