export { DescribedApi, type Document } from './described-api.ts'
