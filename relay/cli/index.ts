export { parseListen, parsePort } from './listen.ts'
export { serve } from './serve.ts'
