import { RopewalkError } from '@ropewalk/shared/errors'

/** A socket file without a listener is what a killed peer leaves behind. */
export function notRunning(error: Error): Error {
  const code = 'code' in error ? error.code : undefined
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') return error
  return new RopewalkError('not-running', 'No peer is running here', { hint: 'ropewalk up', cause: error })
}
