import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { Fetcher } from './discovery/index.ts'

/**
 * Fetches a small document by HTTPS without looking at the server's X.509 names: what is fetched is signed by the key that
 * the ticket names, and that is checked by whoever asked. Plain HTTP is for relays on loopback. Redirects are not followed.
 */
export const fetchSigned: Fetcher = (url, { signal, maxBytes }) =>
  new Promise((resolve, reject) => {
    const target = new URL(url)
    const options = { signal, agent: false, headers: { accept: 'application/json' } }
    const sent =
      target.protocol === 'https:'
        ? requestHttps(target, { ...options, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
        : requestHttp(target, options)
    sent.on('error', reject)
    sent.on('response', (response) => {
      if (response.statusCode !== 200) {
        response.destroy()
        reject(new RopewalkError('unreachable', `${target.host} answered HTTP ${response.statusCode}`))
        return
      }
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size <= maxBytes) chunks.push(chunk)
        else response.destroy(new RopewalkError('too-large', `${target.host} sent more than ${maxBytes} bytes`))
      })
      response.on('error', reject)
      response.on('end', () => resolve(new Uint8Array(Buffer.concat(chunks))))
    })
    sent.end()
  })
