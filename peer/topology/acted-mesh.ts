import { parseAddress } from '@ropewalk/shared/addressing'
import { generateSigningKey, generateWireguardKeys, type NodeId, parseName } from '@ropewalk/shared/identity'
import type { Admission, Bundle, CertificateHash } from '@ropewalk/shared/membership'
import type { Link, NodeRecord, Report } from '@ropewalk/shared/records'
import type { DiscoveryEvent, Member } from '../discovery/index.ts'
import type { TopologyDependencies } from './topology.ts'

/** A member for tests: keys are real, statements are not there. */
export function memberCalled(name: string, patch: Partial<Member> = {}): Member {
  return {
    nodeId: generateSigningKey().nodeId,
    name: parseName(name),
    tags: [],
    rights: [],
    wireguardKey: generateWireguardKeys().publicKey,
    addresses: { v6: parseAddress('fd00::1'), v4: parseAddress('100.88.0.1') },
    certificate: '' as CertificateHash,
    admission: {} as Admission,
    bundle: {} as Bundle,
    lastHeardMs: 0,
    state: 'online',
    ...patch,
  }
}

/** A record for tests. */
export function recordOf(patch: Partial<NodeRecord> = {}): NodeRecord {
  return {
    nodeId: '' as NodeId,
    certificateHash: '' as CertificateHash,
    seq: 1,
    ttlMs: 1,
    addresses: [],
    candidates: [],
    nat: 'unknown',
    relays: [],
    services: [],
    sshHostKeys: [],
    routes: [],
    neighbours: [],
    ...patch,
  }
}

/** The part of discovery that the topology listens to, played by a test. */
export class ActedMesh {
  readonly members = new Map<NodeId, Member>()
  readonly connected = new Set<NodeId>()
  readonly self: Member
  ownLinks: Link[] = []
  readonly #events = new Set<(event: DiscoveryEvent) => void>()
  readonly #reports = new Set<(report: Report, from: Member) => void>()
  readonly #links = new Set<() => void>()

  constructor(self: Member) {
    this.self = self
  }

  get discovery(): TopologyDependencies['discovery'] {
    return {
      self: this.self,
      members: () => [...this.members.values()],
      connectedTo: (nodeId) => this.connected.has(nodeId),
      onChange: (listener) => {
        this.#events.add(listener)
        return () => this.#events.delete(listener)
      },
      onReport: (listener) => {
        this.#reports.add(listener)
        return () => this.#reports.delete(listener)
      },
    }
  }

  get links(): TopologyDependencies['links'] {
    return {
      report: () => this.ownLinks,
      onChange: (listener) => {
        this.#links.add(listener)
        return () => this.#links.delete(listener)
      },
    }
  }

  join(member: Member): Member {
    this.members.set(member.nodeId, member)
    this.say({ kind: 'joined', member })
    return member
  }

  change(member: Member, patch: Partial<Member>): void {
    const next = { ...member, ...patch }
    this.members.set(member.nodeId, next)
    this.say({ kind: 'updated', member: next, before: member })
  }

  say(event: DiscoveryEvent): void {
    for (const listener of this.#events) listener(event)
  }

  report(from: Member, seq: number, links: Link[], atMs: number): void {
    for (const listener of this.#reports) listener({ nodeId: from.nodeId, seq, atMs, links }, from)
  }

  setOwnLinks(links: Link[]): void {
    this.ownLinks = links
    for (const listener of this.#links) listener()
  }
}
