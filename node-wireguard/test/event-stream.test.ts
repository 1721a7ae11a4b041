import { expect, test } from 'vitest'
import { EventStream } from '../event-stream.ts'

const stream = () => new EventStream<string>((count) => `lost ${count}`)

async function rest(events: EventStream<string>): Promise<string[]> {
  const all: string[] = []
  for await (const batch of events) all.push(...batch)
  return all
}

test('what comes before anybody reads waits for the first reader', async () => {
  const events = stream()
  events.push(['a', 'b'])
  events.push(['c'])
  events.end()
  expect(await rest(events)).toEqual(['a', 'b', 'c'])
  expect(await rest(events)).toEqual([])
})

test('every reader gets all that comes while it reads, in batches', async () => {
  const events = stream()
  const readers = [rest(events), rest(events)]
  events.push(['a'])
  events.push(['b', 'c'])
  events.end()
  expect(await Promise.all(readers)).toEqual([
    ['a', 'b', 'c'],
    ['a', 'b', 'c'],
  ])
})

test('a reader that sleeps is woken by the next batch', async () => {
  const events = stream()
  const reader = events[Symbol.asyncIterator]()
  const next = reader.next()
  events.push(['a', 'b'])
  expect(await next).toEqual({ value: ['a', 'b'], done: false })
})

test('a reader that leaves is forgotten, and the next one starts anew', async () => {
  const events = stream()
  events.push(['a'])
  for await (const batch of events) {
    expect(batch).toEqual(['a'])
    break
  }
  events.push(['b'])
  events.end()
  expect(await rest(events)).toEqual([])
})

test('a reader that is too slow is told how much it has missed', async () => {
  const events = stream()
  for (let round = 0; round < 5_000; round += 1) events.push([`${round}`])
  events.end()
  const all = await rest(events)
  expect(all).toHaveLength(4_097)
  expect(all.at(-1)).toBe('lost 904')
})
