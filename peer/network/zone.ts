import type { Answer, DecodedPacket, Packet, Question, StringAnswer } from 'dns-packet'
import * as dns from 'dns-packet'

/** What the resolver knows of a member: its name and its overlay addresses in text form. */
export interface NamedMember {
  readonly name: string
  readonly addresses: { readonly v6: string; readonly v4: string }
}

/** How a zone looks members up. */
export interface Directory {
  byName(name: string): NamedMember | undefined
  byAddress(address: string): NamedMember | undefined
}

/** The answer to a query, or that the query is about somebody else's names. */
export type ZoneReply =
  | { readonly kind: 'answer'; readonly packet: Packet }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'malformed' }

/** Longest DNS message that is looked at, in bytes (RFC 6891 lets clients offer this much). */
export const MESSAGE_LIMIT_BYTES = 4096
const TTL_SECONDS = 30
const NEGATIVE_TTL_SECONDS = 5
const AUTHORITATIVE = dns.AUTHORITATIVE_ANSWER
const RCODE = { NOERROR: 0, FORMERR: 1, NXDOMAIN: 3, NOTIMP: 4 } as const

/**
 * The names of one network: `NAME.<network>.internal` and the reverse of every member's address. Pure: bytes in, packet out.
 * A name below the zone is answered here even when nobody has it, so that it never leaks to another resolver.
 */
export class Zone {
  readonly origin: string
  readonly #directory: Directory

  /** @param network the network's name, one DNS label */
  constructor(network: string, directory: Directory) {
    this.origin = `${network.toLowerCase()}.internal`
    this.#directory = directory
  }

  /** Answers one message. Never throws. */
  reply(message: Uint8Array): ZoneReply {
    if (message.length > MESSAGE_LIMIT_BYTES) return { kind: 'malformed' }
    let query: DecodedPacket
    try {
      query = dns.decode(Buffer.from(message))
    } catch {
      return { kind: 'malformed' }
    }
    const [question] = query.questions ?? []
    if (query.type !== 'query' || question === undefined || query.questions?.length !== 1) return { kind: 'malformed' }
    const name = question.name.toLowerCase()
    if (name === this.origin || name.endsWith(`.${this.origin}`)) return this.#forward(query, question, name)
    return this.#reverse(query, question, name)
  }

  #forward(query: DecodedPacket, question: Question, name: string): ZoneReply {
    if (name === this.origin) return this.#answer(query, question, [], RCODE.NOERROR)
    const label = name.slice(0, -this.origin.length - 1)
    const member = this.#directory.byName(label)
    if (member === undefined) return this.#answer(query, question, [], RCODE.NXDOMAIN)
    const records: Answer[] = []
    const wanted: string = question.type
    if (wanted === 'AAAA' || wanted === 'ANY') records.push(record(question, 'AAAA', member.addresses.v6))
    if (wanted === 'A' || wanted === 'ANY') records.push(record(question, 'A', member.addresses.v4))
    return this.#answer(query, question, records, RCODE.NOERROR)
  }

  #reverse(query: DecodedPacket, question: Question, name: string): ZoneReply {
    const address = addressOfReverseName(name)
    const member = address === undefined ? undefined : this.#directory.byAddress(address)
    if (member === undefined) return { kind: 'foreign' }
    const target: StringAnswer = {
      type: 'PTR',
      name: question.name,
      ttl: TTL_SECONDS,
      data: `${member.name}.${this.origin}`,
    }
    return this.#answer(query, question, question.type === 'PTR' ? [target] : [], RCODE.NOERROR)
  }

  #answer(query: DecodedPacket, question: Question, answers: Answer[], rcode: number): ZoneReply {
    const authority: Answer = {
      type: 'SOA',
      name: this.origin,
      ttl: NEGATIVE_TTL_SECONDS,
      data: {
        mname: this.origin,
        rname: `hostmaster.${this.origin}`,
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86_400,
        minimum: NEGATIVE_TTL_SECONDS,
      },
    }
    const recursion = (query.flags ?? 0) & dns.RECURSION_DESIRED
    const flags = AUTHORITATIVE | recursion | dns.RECURSION_AVAILABLE | rcode
    const packet: Packet = { type: 'response', id: query.id ?? 0, flags, questions: [question], answers }
    return { kind: 'answer', packet: answers.length > 0 ? packet : { ...packet, authorities: [authority] } }
  }
}

function record(question: Question, type: 'A' | 'AAAA', data: string): Answer {
  return { type, name: question.name, ttl: TTL_SECONDS, data }
}

/** `4.3.2.1.in-addr.arpa` → `1.2.3.4`; the IPv6 form (RFC 3596) → eight full groups. Nothing for any other name. */
export function addressOfReverseName(name: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name)
  if (v4 !== null) return v4.slice(1).reverse().join('.')
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)
  if (v6?.[1] === undefined) return undefined
  const nibbles = v6[1].replaceAll('.', '').split('').reverse().join('')
  return (nibbles.match(/.{4}/g) ?? []).join(':')
}
