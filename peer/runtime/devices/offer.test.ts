import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RopewalkError } from '@ropewalk/shared/errors'
import { createLogger } from '@ropewalk/shared/logger'
import type { Offer } from '@ropewalk/shared/runtime'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runtimeView } from '../../runtime-view.ts'
import { createOffer, type MeasuredLink, type OfferDependencies, type OfferKeeper, type OfferOptions } from './index.ts'
import { steady } from './offer.ts'

const LINK: MeasuredLink = { tier: 'high', upMbps: 1_200, downMbps: 1_300, measuredAtMs: 1, with: ['relay'] }

let folder: string
let keeper: OfferKeeper | undefined
let published: (Offer | undefined)[]
let heard: () => void

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropewalk-offer-'))
  published = []
  heard = () => {}
})

afterEach(async () => {
  await keeper?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** A keeper that looks all the time and measures by what the test gives. */
function keep(dependencies: Partial<OfferDependencies> = {}, options: Partial<OfferOptions> = {}): OfferKeeper {
  keeper = createOffer(
    { folder, maxLeaseMinutes: 120, firstMeasureMs: 0, lookEveryMs: 20, ...options },
    {
      leases: () => 0,
      measure: async () => LINK,
      publish: (offer) => {
        published.push(offer)
        heard()
      },
      logger: createLogger({ level: 'silent', destination: process.stderr }),
      ...dependencies,
    },
  )
  return keeper
}

/** Resolves when something that holds was published. */
async function until(holds: (offer: Offer | undefined) => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  heard = () => {
    if (published.length > 0 && holds(published.at(-1))) resolve()
  }
  heard()
  await promise
}

/** What an installation leaves behind, as far as it is looked at. */
async function installed(): Promise<void> {
  const environment = 'ray-2.60.0-01234567'
  await mkdir(join(folder, environment, 'bin'), { recursive: true })
  await symlink(process.execPath, join(folder, environment, 'bin', 'python'))
  const stamp = {
    version: 1,
    environment,
    ray: '2.60.0',
    python: '3.11.2',
    base: '/usr',
    requirements: 'ab'.repeat(32),
  }
  await writeFile(join(folder, 'runtime.json'), JSON.stringify({ ...stamp, sizeBytes: 1 }))
}

test('nothing is offered or measured without a runtime; with one the machine is, then its link, and none when it is gone', async () => {
  let measured = 0
  const measure = async (): Promise<MeasuredLink> => {
    measured++
    return LINK
  }
  const offer = keep({ measure })
  expect(runtimeView(offer)).toEqual({
    version: 1,
    offered: false,
    maxLeaseMinutes: null,
    leases: null,
    link: null,
  })
  await offer.start()
  await offer.refresh()
  expect([published, measured]).toEqual([[], 0])

  await installed()
  await until((one) => one?.tier === 'high')
  expect(published).toHaveLength(2)
  expect(published[0]).toMatchObject({ ray: '2.60.0', maxLeaseMinutes: 120, leases: 0, cpus: expect.any(Number) })
  expect(published[0]).not.toHaveProperty('tier')
  expect(runtimeView(offer)).toMatchObject({
    offered: true,
    maxLeaseMinutes: 120,
    link: { tier: 'high', with: ['relay'] },
  })
  await offer.refresh()
  expect(measured).toBe(1)

  await rm(join(folder, 'runtime.json'))
  await until((one) => one === undefined)
  expect(runtimeView(offer).offered).toBe(false)
})

test('the link is left alone while a lease runs; a change of leases is told at once', async () => {
  await installed()
  let leases = 1
  let measured = 0
  const offer = keep(
    {
      leases: () => leases,
      measure: async () => {
        measured++
        return LINK
      },
    },
    { lookEveryMs: 10 },
  )
  await offer.start()
  await until((one) => one?.leases === 1)
  for (let look = 0; look < 20; look++) await offer.refresh()
  expect(measured).toBe(0)
  leases = 0
  await offer.refresh()
  expect(published.at(-1)?.leases).toBe(0)
  await until((one) => one?.tier === 'high')
  expect(measured).toBe(1)
})

test('measuring by command: two callers share it, a refusal is theirs, a stop ends it', async () => {
  await installed()
  const gate = Promise.withResolvers<MeasuredLink>()
  let asked = 0
  const offer = keep(
    {
      measure: (signal) => {
        asked++
        signal.addEventListener('abort', () => gate.reject(signal.reason))
        return asked === 1 ? Promise.reject(new RopewalkError('rate-limited', 'no time')) : gate.promise
      },
    },
    { firstMeasureMs: 3_600_000 },
  )
  await offer.start()
  await expect(offer.measureNow()).rejects.toMatchObject({ code: 'rate-limited' })
  const both = [offer.measureNow(), offer.measureNow()]
  const settled = Promise.allSettled(both)
  expect(asked).toBe(2)
  await offer.stop()
  expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})

test('free space that hardly changes is not told anew', () => {
  expect(steady(undefined, 7)).toBe(7)
  expect(steady(100, 95)).toBe(100)
  expect(steady(100, 89)).toBe(89)
  expect(steady(0, 1)).toBe(1)
})
