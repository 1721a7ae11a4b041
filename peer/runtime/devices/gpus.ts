import { MAX_GPUS } from '@ropewalk/shared/runtime'
import { runProgram } from '../../run-program.ts'

/** A GPU of this machine; its number is its place in the list. */
export interface LocalGpu {
  /** As its driver calls it. */
  readonly model: string
  /** 0 where the driver does not say. */
  readonly memoryMiB: number
  /** What CUDA_VISIBLE_DEVICES takes, and what stays the same when another GPU fails. */
  readonly uuid: string
}

const QUERY = ['--query-gpu=name,memory.total,uuid', '--format=csv,noheader,nounits']
/** Without its persistence daemon the driver starts each GPU for the question, which takes seconds. */
const TIMEOUT_MS = 20_000
const MAX_BYTES = 64 * 1_024
const MAX_MODEL = 64
const MAX_MEMORY_MIB = 16_777_216

/** The NVIDIA GPUs of this machine; none where there is no driver, or where it fails. */
export async function probeGpus(
  options: { readonly command?: string; readonly signal?: AbortSignal | undefined } = {},
): Promise<LocalGpu[]> {
  const { command = 'nvidia-smi', signal } = options
  try {
    const { code, stdout } = await runProgram(command, QUERY, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, signal })
    return code === 0 ? parseGpus(stdout) : []
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof Error)) throw error
    return []
  }
}

/** Reads nvidia-smi's table; lines that are no GPU are passed over. A model may have commas in it, the rest has none. */
export function parseGpus(table: string): LocalGpu[] {
  const gpus: LocalGpu[] = []
  for (const line of table.split('\n', MAX_GPUS * 4)) {
    const fields = line.split(',')
    const [uuid = '', memory = ''] = [fields.pop()?.trim(), fields.pop()?.trim()]
    const model = fields
      .join(',')
      .replaceAll(/[^\x20-\x7e]/g, '')
      .trim()
      .slice(0, MAX_MODEL)
      .trim()
    if (model === '' || !/^GPU-[0-9a-f-]{8,64}$/.test(uuid)) continue
    if (gpus.some((gpu) => gpu.uuid === uuid)) continue
    const memoryMiB = /^\d{1,9}$/.test(memory) ? Math.min(Number(memory), MAX_MEMORY_MIB) : 0
    gpus.push({ model, memoryMiB, uuid })
    if (gpus.length === MAX_GPUS) break
  }
  return gpus
}
