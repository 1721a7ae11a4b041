import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { isBlock, type LeaseId } from '@ropewalk/shared/runtime'
import { makeFolder } from '../../make-folder.ts'
import { dropped, leaseUser } from './account.ts'
import { KeptCage } from './cage.ts'
import { leaseGroups } from './control-groups.ts'
import { type Cage, type CageSpec, type Cages, HOME_INSIDE } from './face.ts'
import { gpuDevices } from './gpu-devices.ts'
import { endLease, startKeeper } from './keeper.ts'
import { interpreterFolders, makeLeaseFolder } from './lease-folder.ts'
import { cageRefusal, type Machine, nftGroup, surveyMachine } from './machine.ts'
import { portRules, tableName } from './port-rules.ts'
import { environment, sandboxWords } from './sandbox.ts'

export interface CagesOptions {
  /** Holds a folder for each lease, and is the record of what there is. Nobody else may use it. */
  readonly folder: string
}

export interface CagesDependencies {
  readonly logger: Logger
}

const START_TIMEOUT_MS = 10_000

/** Cages of one peer, in a folder that belongs to it alone. */
export function createCages(options: CagesOptions, dependencies: CagesDependencies): Cages {
  return new FolderOfCages(options.folder, dependencies.logger)
}

class FolderOfCages implements Cages {
  readonly #folder: string
  readonly #logger: Logger
  readonly #open = new Set<LeaseId>()
  #machine: Promise<Machine> | undefined

  constructor(folder: string, logger: Logger) {
    this.#folder = folder
    this.#logger = logger
  }

  async check(): Promise<RopewalkError | undefined> {
    return cageRefusal()
  }

  async open(spec: CageSpec, { signal }: { readonly signal: AbortSignal }): Promise<Cage> {
    validate(spec)
    if (signal.aborted) throw toRopewalkError(signal.reason)
    if (this.#open.has(spec.id)) throw taken(spec.id)
    this.#open.add(spec.id)
    try {
      return await this.#start(spec, signal)
    } catch (error) {
      this.#open.delete(spec.id)
      throw error
    }
  }

  async #start(spec: CageSpec, signal: AbortSignal): Promise<Cage> {
    this.#machine ??= surveyMachine(this.#logger)
    const machine = await this.#machine
    const cage = await this.#make(spec, machine)
    const late = AbortSignal.timeout(START_TIMEOUT_MS)
    try {
      await settled(cage.started, AbortSignal.any([signal, late]))
    } catch (error) {
      await cage.stop()
      if (!late.aborted || error instanceof RopewalkError) throw error
      throw new RopewalkError('timeout', `The cage of the lease was not ready after ${START_TIMEOUT_MS} ms`)
    }
    return cage
  }

  async #make(spec: CageSpec, machine: Machine): Promise<KeptCage> {
    const { id, ports, devices, mesh } = spec
    const folder = join(this.#folder, id)
    const user = await leaseUser(ports)
    const groups = leaseGroups(id, devices, machine.groups)
    const table = tableName(id)
    const group = machine.knowsSockets && groups.unified !== null ? nftGroup(groups.unified) : null
    const rules = portRules({ table, ports, mesh: mesh.interface, user, group })
    await makeFolder(this.#folder, 0o700)
    await makeLeaseFolder({
      folder,
      user,
      table,
      rules,
      groups,
      address: mesh.addresses.find((each) => each.includes('.')),
    }).catch(async (error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(id)
      await rm(folder, { recursive: true, force: true }) // half a folder says nothing of what there is
      throw error
    })
    try {
      const words = sandboxWords({
        folder,
        runtime: spec.runtime,
        interpreter: await interpreterFolders(spec.runtime),
        env: spec.env,
        memoryMiB: devices.memoryMiB,
        devices: await gpuDevices(devices.gpus),
        view: groups.view,
        top: machine.top,
      })
      // Root without its rights may not go there; who it becomes may.
      const entering = [...dropped(user), 'env', `--chdir=${HOME_INSIDE}`]
      const keeper = startKeeper(folder, words, [...entering, ...spec.command])
      return new KeptCage({
        id,
        folder,
        user,
        ports,
        keeper,
        entering,
        env: environment(spec.env),
        forget: () => this.#open.delete(id),
      })
    } catch (error) {
      await endLease(folder)
      throw error
    }
  }

  async sweep(): Promise<readonly LeaseId[]> {
    const found = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    const left = found.filter((name) => isLeaseId(name) && !this.#open.has(name as LeaseId)) as LeaseId[]
    for (const id of left) {
      this.#logger.info('what an earlier lease left is removed', { lease: id })
      await endLease(join(this.#folder, id)).catch((error: unknown) => {
        this.#logger.error('what an earlier lease left cannot be removed', { lease: id, reason: messageOf(error) })
      })
    }
    return left
  }
}

function isLeaseId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text)
}

function taken(id: LeaseId): RopewalkError {
  return new RopewalkError('conflict', `The lease ${id} has a cage already`)
}

/** What could end as another word of a tool's is refused here, whoever checked it before. */
function validate({ id, ports, mesh, env, command }: CageSpec): void {
  const wrong = (what: string) => new RopewalkError('bad-input', `A cage cannot be made: ${what}`)
  if (!isLeaseId(id)) throw wrong('that is no id of a lease')
  if (!isBlock(ports)) throw wrong(`no block of ports begins at ${ports}`)
  if (!/^[A-Za-z0-9_.:-]{1,15}$/.test(mesh.interface)) throw wrong(`no interface is called ${mesh.interface}`)
  if (command.length === 0) throw wrong('there is no command')
  for (const [name, value] of Object.entries(env)) {
    // The loader's variables would act on what prepares the cage, as root.
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith('LD_')) throw wrong(`a variable ${name}`)
    if (value.includes('\0')) throw wrong(`the variable ${name} has a zero byte`)
  }
}

/** The promise, or the signal's reason if that comes first. */
function settled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason)
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  return Promise.race([work, aborted.promise]).finally(() => signal.removeEventListener('abort', abort))
}
