import { z } from 'zod'
import { RopewalkError } from '../errors/index.ts'

/** Query of every list. */
export const pageQuerySchema = z.strictObject({
  /** From the answer before; opaque. */
  cursor: z.string().max(512).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
/** Query of every list. */
export type PageQuery = z.infer<typeof pageQuerySchema>

/** The answer of a list: items under their own name, and a cursor while there is more. */
export function pageSchema<Name extends string, Item extends z.ZodType>(name: Name, item: Item) {
  const items = { [name]: z.array(item) } as { [K in Name]: z.ZodArray<Item> }
  return z.strictObject({ version: z.literal(1), ...items, nextCursor: z.string().optional() })
}

/**
 * One page of items, ordered by their id. Items that come or go between two pages shift nothing.
 * @throws RopewalkError `bad-input` for a cursor that is not ours
 */
export function pageOf<T>(
  items: Iterable<T>,
  idOf: (item: T) => string,
  query: PageQuery,
): { items: T[]; nextCursor?: string } {
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor)
  const sorted = [...items]
    .map((item) => ({ item, id: idOf(item) }))
    .filter(({ id }) => after === undefined || id > after)
    .sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  const shown = sorted.slice(0, query.limit)
  const last = shown.at(-1)
  const more = sorted.length > shown.length && last !== undefined
  return { items: shown.map(({ item }) => item), ...(more ? { nextCursor: encodeCursor(last.id) } : {}) }
}

function encodeCursor(id: string): string {
  return Buffer.from(id, 'utf8').toString('base64url')
}

function decodeCursor(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('utf8')
  if (encodeCursor(id) !== cursor) throw new RopewalkError('bad-input', 'That cursor is not one of ours')
  return id
}
