import { randomBytes } from 'node:crypto'
import { DEFAULT_IPV4_PREFIX, ipv4Of } from '@ropewalk/shared/addressing'
import {
  generateSigningKey,
  generateWireguardKeys,
  parseName,
  type SigningKey,
  type WireguardKeys,
} from '@ropewalk/shared/identity'
import type { Startable } from '@ropewalk/shared/lifecycle'
import {
  type Bundle,
  type Claim,
  foundNetwork,
  type InviteOptions,
  inviteIdOf,
  type Network,
  parseWayIn,
  type Right,
  signCertificate,
  signInvite,
  type WayIn,
} from '@ropewalk/shared/membership'
import { admitByRoot } from '../state/index.ts'
import {
  createDiscovery,
  type Discovery,
  type DiscoveryEvent,
  type DiscoveryMemory,
  type DiscoveryOptions,
} from './index.ts'
import { TestLog } from './test-log.ts'

/** A node of a test: what it is made of survives its stop, so that it can be made again. */
export interface TestNode {
  readonly name: string
  readonly key: SigningKey
  readonly wireguardKeys: WireguardKeys
  readonly memory: DiscoveryMemory & { bundle: Bundle; tried: number }
  readonly log: TestLog
  readonly discovery: Discovery & Startable
}

/** What a test may ask of a node. */
export interface NodeOptions {
  readonly waysIn?: readonly WayIn[]
  readonly rights?: readonly Right[]
  readonly port?: number
  readonly now?: () => number
  readonly overrides?: Partial<DiscoveryOptions>
}

/** A network of real libp2p hosts on loopback. */
export class TestMesh {
  readonly root = generateSigningKey()
  readonly network: Network
  readonly nodes: TestNode[] = []
  readonly #taken = new Set<string>()

  constructor(nowMs = Date.now()) {
    this.network = foundNetwork({
      name: parseName('test'),
      ipv4Prefix: DEFAULT_IPV4_PREFIX,
      root: this.root,
      nextRootKey: generateSigningKey().publicKey,
      nowMs,
    })
  }

  /** An invite and its secret. */
  invite(change: Partial<InviteOptions> = {}, signer = this.root) {
    const key = generateSigningKey()
    const now = Date.now()
    const usual = {
      id: inviteIdOf(randomBytes(16)),
      tags: [],
      rights: [],
      uses: 1,
      notBeforeMs: now,
      notAfterMs: now + 3_600_000,
    }
    return { key, statement: signInvite(this.network, { ...usual, ...change, key: key.publicKey }, signer) }
  }

  /** An application under an invite. */
  apply(name: string, key: SigningKey, wireguardKeys: WireguardKeys, invite = this.invite(), attempt = 0): Bundle {
    const v4 = ipv4Of(this.network.ipv4Prefix, key.nodeId, attempt)
    const wish = { wireguardKey: wireguardKeys.publicKey, name: parseName(name), tags: [], v4 }
    const keys = { invite: invite.key, node: key }
    return {
      certificate: signCertificate(this.network, invite.statement.body, wish, keys).bytes,
      invite: invite.statement.bytes,
    }
  }

  /** A key whose first address no other has: among fifty members of 65,534 addresses two want the same once in fifty times. */
  #freshKey(): SigningKey {
    const key = generateSigningKey()
    const address = ipv4Of(this.network.ipv4Prefix, key.nodeId, 0)
    if (this.#taken.has(address)) return this.#freshKey()
    this.#taken.add(address)
    return key
  }

  /** A node that the root has admitted: a relay unless said. */
  admitted(name: string, { rights = ['relay'], ...options }: NodeOptions = {}): TestNode {
    const identity = { nodeKey: this.#freshKey(), wireguardKeys: generateWireguardKeys() }
    const { bundle } = admitByRoot(this.network, identity, this.root, {
      name: parseName(name),
      tags: [],
      rights,
      nowMs: Date.now(),
    })
    return this.node(name, identity.nodeKey, identity.wireguardKeys, bundle, options)
  }

  /** A node with a fresh ticket. */
  joiner(name: string, options: NodeOptions, invite = this.invite()): TestNode {
    const [key, wireguardKeys] = [this.#freshKey(), generateWireguardKeys()]
    const bundle = this.apply(name, key, wireguardKeys, invite)
    const node = this.node(name, key, wireguardKeys, bundle, options)
    node.memory.nextBundle = async () => this.apply(name, key, wireguardKeys, invite, ++node.memory.tried)
    return node
  }

  /** The same node after a restart: same keys, same memory. */
  again(node: TestNode, options: NodeOptions = {}): TestNode {
    return this.node(node.name, node.key, node.wireguardKeys, node.memory.bundle, options, node.memory)
  }

  /** A node of these parts. */
  node(
    name: string,
    key: SigningKey,
    wireguardKeys: WireguardKeys,
    bundle: Bundle,
    options: NodeOptions = {},
    memory = createMemory(bundle),
  ): TestNode {
    const log = new TestLog()
    const discovery = createDiscovery(
      {
        network: this.network,
        nodeKey: key,
        wireguardKeys,
        bundle,
        waysIn: options.waysIn ?? [],
        listen: [{ address: '127.0.0.1', port: options.port ?? 0 }],
        mdns: false,
        joinTimeoutMs: 10_000,
        ...options.overrides,
      },
      { memory, logger: log.logger, ...(options.now === undefined ? {} : { now: options.now }) },
    )
    const node: TestNode = { name, key, wireguardKeys, memory, log, discovery }
    this.nodes.push(node)
    return node
  }

  /** Stops everything that was made. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.discovery.stop()))
  }
}

/** The multiaddr of a running node. */
export function addressOf(node: TestNode): string {
  const [address] = node.discovery.listenAddresses()
  if (address === undefined) throw new Error(`${node.name} listens nowhere`)
  return address
}

/** The TCP port of a running node. */
export function portOf(node: TestNode): number {
  return Number(addressOf(node).split('/')[4])
}

/** Where a running node can be knocked at. */
export function wayTo(node: TestNode): WayIn {
  return parseWayIn(addressOf(node))
}

/** Resolves when a condition holds, looked at after every event of the node. */
export async function until(node: TestNode, condition: () => boolean, what: string, timeoutMs = 8_000): Promise<void> {
  if (condition()) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const stop = node.discovery.onChange(() => condition() && resolve())
  const timer = setTimeout(() => reject(new Error(`${node.name}: not within ${timeoutMs} ms: ${what}`)), timeoutMs)
  try {
    await promise
  } finally {
    clearTimeout(timer)
    stop()
  }
}

/** Resolves with the next event of a kind. */
export function nextEvent<K extends DiscoveryEvent['kind']>(
  node: TestNode,
  kind: K,
): Promise<Extract<DiscoveryEvent, { kind: K }>> {
  return new Promise((resolve) => {
    const stop = node.discovery.onChange((event) => {
      if (event.kind !== kind) return
      stop()
      resolve(event as Extract<DiscoveryEvent, { kind: K }>)
    })
  })
}

/** A memory as the state folder keeps one, without the disk. */
export function createMemory(bundle: Bundle): TestNode['memory'] {
  const claims: Claim[] = []
  let members: Awaited<ReturnType<DiscoveryMemory['members']>> = []
  let revocations: Uint8Array | undefined
  let policy: Uint8Array | undefined
  return {
    bundle,
    tried: 0,
    claims: {
      claims: () => claims,
      async put(claim) {
        const index = claims.findIndex((one) => one.nodeId === claim.nodeId)
        claims.splice(index < 0 ? claims.length : index, index < 0 ? 0 : 1, claim)
      },
    },
    members: async () => members,
    async saveMembers(all) {
      members = all
    },
    async saveBundle(admitted) {
      this.bundle = admitted
    },
    nextBundle: async () => undefined,
    dropApplication: async () => undefined,
    revocations: async () => revocations,
    async saveRevocations(statement) {
      revocations = statement
    },
    policy: async () => policy,
    async savePolicy(statement) {
      policy = statement
    },
  }
}
