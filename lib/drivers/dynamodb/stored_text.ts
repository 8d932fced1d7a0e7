import { digestOf } from '../digest.js'

/** How many bytes of UTF-8 a partition key may have. */
const LONGEST = 2048

/**
 * The text that stands for a key or an owner in an item: itself, or where a key can't be as long, its digest.
 */
export function storedText(text: string): string {
  // Half a surrogate pair can't be written as UTF-8.
  const written = text.toWellFormed()
  // A unit of UTF-16 has three bytes at most.
  if (written.length <= LONGEST / 3 || Buffer.byteLength(written) <= LONGEST) return written
  return digestOf(written)
}
