import {
  type ClusterView,
  type Job,
  type RuntimeDelta,
  type RuntimeSnapshot,
  runtimeDeltaSchema,
  runtimeSnapshotSchema,
} from '@ropewalk/shared/api'

/** Server-sent events as they come. */
export interface Events {
  next(): Promise<{ readonly event: string; readonly data: string } | undefined>
  close(): void
}

/** What a peer's event stream tells, kept in the order that it came. */
export class FollowedEvents implements Disposable {
  readonly first: RuntimeSnapshot
  readonly deltas: RuntimeDelta[] = []
  readonly #reader: Events

  private constructor(reader: Events, first: RuntimeSnapshot) {
    this.#reader = reader
    this.first = first
    void this.#follow()
  }

  static async open(reader: Events): Promise<FollowedEvents> {
    const event = await reader.next()
    if (event?.event !== 'snapshot') throw new Error(`not a snapshot: ${event?.event}`)
    return new FollowedEvents(reader, runtimeSnapshotSchema.parse(JSON.parse(event.data)))
  }

  clusters(): ClusterView[] {
    return this.deltas.flatMap(({ clusters }) => clusters.set)
  }

  /** How a job stood, one state after the other. */
  job(entrypoint: RegExp): Job['status'][] {
    return this.deltas.flatMap(({ jobs }) =>
      jobs.set.filter((job) => entrypoint.test(job.entrypoint)).map(({ status }) => status),
    )
  }

  [Symbol.dispose](): void {
    this.#reader.close()
  }

  async #follow(): Promise<void> {
    for (let event = await this.#reader.next(); event !== undefined; event = await this.#reader.next()) {
      if (event.event === 'delta') this.deltas.push(runtimeDeltaSchema.parse(JSON.parse(event.data)))
    }
  }
}
