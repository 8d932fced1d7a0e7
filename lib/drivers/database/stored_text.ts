import { digestOf } from '../digest.js'

/** How many characters the columns hold. */
const WIDTH = 255

/**
 * The text that stands for a key or an owner in its column: itself, or where the column can't hold it as it is, its
 * digest. Databases end a text at a NUL or refuse it; MySQL's older collations ignore
 * blanks at the end.
 */
export function storedText(text: string, ignoresTrailingBlanks: boolean): string {
  // Half a surrogate pair can't be written as UTF-8.
  const written = text.toWellFormed()
  // A character has one or two units.
  const isLong = written.length > WIDTH && [...written].length > WIDTH
  const isKept = !isLong && !written.includes('\0')
  if (isKept && !(ignoresTrailingBlanks && written.endsWith(' '))) return written
  return digestOf(written)
}
