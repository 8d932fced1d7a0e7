import { createHash } from 'node:crypto'

/** What stands for a text where it can't be stored itself: `sha256:` and the 64 hexadecimal digits of its digest. */
export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text, 'utf8').digest('hex')}`
}
