/** What marks an encoded key; never seen outside. */
const MARK = '\u0000'
const MARK_CODE = 0

/**
 * The form in which a key crosses to the native side, which knows valid Unicode only.
 *
 * JavaScript strings may hold halves of surrogate pairs. As UTF-8 they would all become U+FFFD: different keys would be
 * one lock, and a custom store would be given another key than the one that was locked. So such a key (and, to stay
 * unambiguous, one that begins with the mark) travels as JSON, which escapes them.
 */
export function encodeKey(key: string): string {
  return key.isWellFormed() && key.charCodeAt(0) !== MARK_CODE ? key : MARK + JSON.stringify(key)
}

/**
 * The key that was encoded.
 */
export function decodeKey(encoded: string): string {
  return encoded.charCodeAt(0) === MARK_CODE
    ? (JSON.parse(encoded.slice(MARK.length)) as string)
    : encoded
}
