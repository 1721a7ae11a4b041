import type { Stream } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'

/** A stream while it lives. */
export interface LiveStream {
  /** As it is now. */
  describe(): Stream
  /** Whether it may go on; asked again after every change of members, policy and services. */
  verdict(): Promise<RopewalkError | undefined>
  /** Ends it at once. */
  cut(reason: RopewalkError): void
}

/** The streams that run through this node. */
export interface LiveStreams {
  /** Adds one; gives the way to take it out when it has ended. */
  add(stream: LiveStream): () => void
  list(): Stream[]
  /** @throws RopewalkError `not-found` */
  end(id: string): void
  /** Asks every stream whether it may go on, and cuts those that may not. */
  review(): void
  /** Cuts all: at stop. */
  clear(reason: RopewalkError): void
  readonly size: number
}

/** None yet. */
export function createLiveStreams(): LiveStreams {
  const streams = new Set<LiveStream>()
  return {
    get size() {
      return streams.size
    },
    add(stream) {
      streams.add(stream)
      return () => streams.delete(stream)
    },
    list: () => [...streams].map((stream) => stream.describe()),
    end(id) {
      const found = [...streams].find((stream) => stream.describe().id === id)
      if (found === undefined) throw new RopewalkError('not-found', `There is no stream ${id.slice(0, 40)}`)
      found.cut(new RopewalkError('aborted', 'The stream was ended by hand'))
    },
    review() {
      for (const stream of streams) {
        void stream.verdict().then((reason) => {
          if (reason !== undefined) stream.cut(reason)
        })
      }
    },
    clear(reason) {
      for (const stream of streams) stream.cut(reason)
    },
  }
}
