import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TestMesh, until, wayTo } from './test-mesh.ts'

let mesh: TestMesh
beforeEach(() => {
  mesh = new TestMesh()
})
afterEach(() => mesh.stop())

describe('joining', () => {
  test('a ticket makes a member, and members learn of each other', async () => {
    const relay = mesh.admitted('relay')
    await relay.discovery.start()
    const waysIn = [wayTo(relay)]
    const a = mesh.joiner('worker-a', { waysIn })
    await a.discovery.start()
    await until(a, () => a.discovery.member('relay')?.state === 'online', 'a sees the relay')
    const b = mesh.joiner('worker-b', { waysIn })
    await b.discovery.start()
    await until(b, () => b.discovery.member('worker-a')?.state === 'online', 'b sees a')
    await until(a, () => a.discovery.member('worker-b')?.state === 'online', 'a sees b')
    expect(
      a.discovery
        .members()
        .map((one) => one.name)
        .toSorted(),
    ).toEqual(['relay', 'worker-b'])
  })
})
