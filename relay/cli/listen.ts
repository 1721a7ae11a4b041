import { isIP } from 'node:net'
import { RopewalkError } from '@ropewalk/shared/errors'

/** `0.0.0.0:443`, `[::]:443` or a port alone. @throws RopewalkError `bad-usage` */
export function parseListen(text: string): { address: string; port: number } {
  const match = /^(?:\[([^\]]+)\]:|([^:]+):)?(\d{1,5})$/.exec(text)
  const address = match?.[1] ?? match?.[2] ?? '0.0.0.0'
  if (match === null || isIP(address) === 0) {
    throw new RopewalkError('bad-usage', `“${text}” is no address to listen on`, {
      hint: 'write 0.0.0.0:443 or [::]:443',
    })
  }
  return { address, port: parsePort(match[3] ?? '') }
}

/** @throws RopewalkError `bad-usage` */
export function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new RopewalkError('bad-usage', `“${text}” is no port`)
}
