import { watch } from 'node:fs'
import { chmod, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Claim } from '@ropewalk/shared/membership'
import type { RememberedMember } from '../discovery/index.ts'
import { makeFolder } from '../make-folder.ts'
import {
  claimsFormat,
  clustersFormat,
  type ExposedService,
  type HiredCluster,
  type Identity,
  identityFormat,
  invitesFormat,
  type KnownInvite,
  type KnownToken,
  membersFormat,
  membershipFormat,
  type OwedRelease,
  type OwnMembership,
  owedReleasesFormat,
  type Ports,
  portsFormat,
  type RootKeys,
  rootFormat,
  type SpentLease,
  servicesFormat,
  spentLeasesFormat,
  tokensFormat,
} from './contents.ts'
import { createDocument, type Document, type Exclusive, rawFormat } from './document.ts'
import { type Lock, noteHolder, readHolder, takeLock } from './lock.ts'

/** The documents of a state folder. */
export interface State {
  readonly folder: string
  readonly identity: Document<Identity>
  readonly root: Document<RootKeys>
  /** The network statement. */
  readonly network: Document<Uint8Array>
  readonly membership: Document<OwnMembership>
  readonly invites: Document<readonly KnownInvite[]>
  readonly claims: Document<readonly Claim[]>
  /** The newest revocations statement. */
  readonly revocations: Document<Uint8Array>
  /** The newest policy statement. */
  readonly policy: Document<Uint8Array>
  readonly members: Document<readonly RememberedMember[]>
  readonly services: Document<readonly ExposedService[]>
  readonly ports: Document<Ports>
  readonly tokens: Document<readonly KnownToken[]>
  /** Clusters that were hired here, their secrets with them. */
  readonly clusters: Document<readonly HiredCluster[]>
  /** Ids of leases that this worker took. */
  readonly spent: Document<readonly SpentLease[]>
  /** Leases that are over here and whose workers do not know it yet. */
  readonly owed: Document<readonly OwedRelease[]>
  /** Makes this process the one peer of the folder until it ends or releases. @throws RopewalkError `state-locked` */
  lockForPeer(): Promise<Lock>
  /** Hears which document another process (or this one) has written. Returns how to stop. */
  watch(listener: (document: WatchedDocument) => void): () => void
}

/** Documents that commands write while a peer runs. */
export type WatchedDocument = 'revocations' | 'policy' | 'services' | 'membership' | 'invites' | 'tokens'

const WATCHED: readonly WatchedDocument[] = ['revocations', 'policy', 'services', 'membership', 'invites', 'tokens']
const WRITE_LOCK = 'write.lock'
const PEER_LOCK = 'peer.lock'
const PEER_ID = 'peer.pid'
const UNWATCHED = ['identity', 'root', 'network', 'claims', 'members', 'ports', 'clusters', 'spent', 'owed']
const OURS: readonly string[] = [...WATCHED, ...UNWATCHED, WRITE_LOCK, PEER_LOCK, PEER_ID]
/** Says nothing about whose folder it is: the runtime may be installed before there is a network. */
const NOBODYS: readonly string[] = ['lost+found', 'runtime']
const FOLDER_MODE = 0o700
const WRITE_WAIT_MS = 5_000

/**
 * Opens a state folder, making it when there is none. @throws RopewalkError `state-foreign` for a folder that is in
 * use by something else, `permission-denied`
 */
export async function openState(folder: string): Promise<State> {
  try {
    await makeFolder(folder, FOLDER_MODE)
    const names = (await readdir(folder)).filter((name) => !name.startsWith('.') && !NOBODYS.includes(name))
    const ours = names.length === 0 || names.some((name) => OURS.includes(name))
    if (!ours) {
      throw new RopewalkError('state-foreign', `${folder} is in use by something else`, {
        hint: 'choose an empty or new folder with --state',
      })
    }
    await chmod(folder, FOLDER_MODE)
  } catch (error) {
    throw toRopewalkError(error)
  }
  return new StateFolder(folder)
}

class StateFolder implements State {
  readonly folder: string
  readonly identity: Document<Identity>
  readonly root: Document<RootKeys>
  readonly network: Document<Uint8Array>
  readonly membership: Document<OwnMembership>
  readonly invites: Document<readonly KnownInvite[]>
  readonly claims: Document<readonly Claim[]>
  readonly revocations: Document<Uint8Array>
  readonly policy: Document<Uint8Array>
  readonly members: Document<readonly RememberedMember[]>
  readonly services: Document<readonly ExposedService[]>
  readonly ports: Document<Ports>
  readonly tokens: Document<readonly KnownToken[]>
  readonly clusters: Document<readonly HiredCluster[]>
  readonly spent: Document<readonly SpentLease[]>
  readonly owed: Document<readonly OwedRelease[]>
  #last: Promise<unknown> = Promise.resolve()

  constructor(folder: string) {
    this.folder = folder
    const place = { folder, exclusive: this.#exclusive }
    this.identity = createDocument(place, 'identity', identityFormat)
    this.root = createDocument(place, 'root', rootFormat)
    this.network = createDocument(place, 'network', rawFormat)
    this.membership = createDocument(place, 'membership', membershipFormat)
    this.invites = createDocument(place, 'invites', invitesFormat)
    this.claims = createDocument(place, 'claims', claimsFormat)
    this.revocations = createDocument(place, 'revocations', rawFormat)
    this.policy = createDocument(place, 'policy', rawFormat)
    this.members = createDocument(place, 'members', membersFormat)
    this.services = createDocument(place, 'services', servicesFormat)
    this.ports = createDocument(place, 'ports', portsFormat)
    this.tokens = createDocument(place, 'tokens', tokensFormat)
    this.clusters = createDocument(place, 'clusters', clustersFormat)
    this.spent = createDocument(place, 'spent', spentLeasesFormat)
    this.owed = createDocument(place, 'owed', owedReleasesFormat)
  }

  async lockForPeer(): Promise<Lock> {
    const noted = join(this.folder, PEER_ID)
    const holder = await readHolder(noted)
    const who = holder === undefined ? 'Another process' : `Process ${holder}`
    const lock = await takeLock(join(this.folder, PEER_LOCK), { waitMs: 0, busy: `${who} runs on ${this.folder}` })
    await noteHolder(noted)
    return lock
  }

  watch(listener: (document: WatchedDocument) => void): () => void {
    const watcher = watch(this.folder, { persistent: false }, (_event, file) => {
      const document = WATCHED.find((name) => name === file)
      if (document !== undefined) listener(document)
    })
    // the folder going away under a running peer is not worth its life
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  }

  /** Within the process by a queue, among processes by a file lock. */
  readonly #exclusive: Exclusive = (work) => {
    const mine = this.#last.then(async () => {
      const path = join(this.folder, WRITE_LOCK)
      using _lock = await takeLock(path, {
        waitMs: WRITE_WAIT_MS,
        busy: `${this.folder} is being written by another process`,
      })
      return await work()
    })
    this.#last = mine.catch(() => undefined)
    return mine
  }
}
