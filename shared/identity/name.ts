import { RopewalkError } from '@ropewalk/shared/errors'
import type { Brand } from './brand.ts'

/** A member's or network's name: one DNS label in lower case (RFC 1123), at most 63 letters. */
export type NodeName = Brand<string, 'NodeName'>

/** A word that groups members: the form of a name, at most 32 letters, so that a bundle stays under 2 KiB. */
export type Tag = Brand<string, 'Tag'>

/** Most tags a member may carry. */
export const MAX_TAGS = 8

const MAX_TAG_LENGTH = 32
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
/** A node id in lower case, or what looks like one: a name like that could be taken for the node. */
const NODE_LIKE = /^12d3koo[a-z0-9]{45}$/

/** Whether a text is one DNS label in lower case. */
export function isLabel(text: string): boolean {
  return LABEL.test(text)
}

/** A name out of text. @throws RopewalkError `bad-input` */
export function parseName(text: string): NodeName {
  if (!isLabel(text)) {
    throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” cannot be a name`, {
      hint: 'use 1 to 63 letters a-z, digits and hyphens, a hyphen neither first nor last',
    })
  }
  if (NODE_LIKE.test(text)) {
    throw new RopewalkError('bad-input', 'A name cannot have the form of a node id', { hint: 'choose a shorter name' })
  }
  return text as NodeName
}

/** A tag out of text. @throws RopewalkError `bad-input` */
export function parseTag(text: string): Tag {
  if (!isLabel(text) || text.length > MAX_TAG_LENGTH) {
    throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” cannot be a tag`, {
      hint: `use 1 to ${MAX_TAG_LENGTH} letters a-z, digits and hyphens, a hyphen neither first nor last`,
    })
  }
  return text as Tag
}
