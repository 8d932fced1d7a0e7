/**
 * Reads single options as drivers written in JavaScript do: much of what comes from an environment or a URL is text.
 */
import { InvalidArgumentsException } from '../../errors.js'
import type { OptionRow } from './rows.js'

/** Options as they come: from JavaScript, so anything may be in them. */
export type RawOptions = Record<string, unknown>

/**
 * Thrown within a translation by whatever can't be carried over to a native connection.
 */
export class Untranslatable extends Error {}

/** Milliseconds; more than anybody waits, and still within 32 bits. */
export const NO_LIMIT = 2 ** 31 - 1

const HIGHEST_PORT = 65_535

export function cannot(option: string, why: string): Untranslatable {
  return new Untranslatable(`the option "${option}" can't be carried over: ${why}`)
}

/**
 * The names of the options that are given, those that an object inherits included, as drivers read them.
 */
export function* namesIn(options: RawOptions): Iterable<string> {
  for (const name in options) {
    if (options[name] !== undefined) yield name
  }
}

/**
 * Refuses options that keep a connection from being made natively, and options that nobody knows.
 *
 * @param rows - What is said about options
 * @param place - Where the options stand, for the reason; such as `tls.`
 * @param others - Options that have no meaning though they aren't among the rows
 */
export function assertTranslatable(
  options: RawOptions,
  rows: Map<string, OptionRow>,
  place = '',
  others?: Map<string, OptionRow>
): void {
  for (const name of namesIn(options)) {
    const row = rows.get(name)
    if (row?.fate === 'own connection') {
      if (isSet(options[name])) throw cannot(place + name, row.why)
    } else if (row === undefined && !others?.has(name)) {
      throw new Untranslatable(`the option "${place + name}" isn't known`)
    }
  }
}

export function isSet(value: unknown): boolean {
  return Boolean(value)
}

/**
 * A text, `undefined` if there is none or an empty one. Numbers become text, as on a driver's way to the server, and
 * AdonisJS's `Secret` says what it hides.
 */
export function textOf(value: unknown, option: string): string | undefined {
  if (value === undefined || value === null || value === false || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || value === true) return String(value)
  if (typeof (value as { release?: unknown }).release === 'function') {
    return textOf((value as { release(): unknown }).release(), option)
  }
  if (Buffer.isBuffer(value)) {
    const text = value.toString('utf8')
    if (Buffer.from(text, 'utf8').equals(value)) return text || undefined
    throw cannot(option, 'its bytes are no UTF-8')
  }
  throw cannot(option, 'it is no text')
}

export function portOf(value: unknown, option: string, otherwise: number): number {
  if (value === undefined || value === null || value === '') return otherwise
  const port = typeof value === 'string' ? Number.parseInt(value, 10) : value
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > HIGHEST_PORT) {
    throw cannot(option, 'it is no port')
  }
  return port
}

/**
 * Milliseconds.
 *
 * @param otherwise - For what is no number or negative
 */
export function millisOf(value: unknown, otherwise: number): number {
  const millis = typeof value === 'string' && value !== '' ? Number(value) : value
  if (typeof millis !== 'number' || Number.isNaN(millis) || millis < 0) return otherwise
  return Math.min(Math.ceil(millis), NO_LIMIT)
}

/**
 * Runs a translation; what it can't carry over becomes the reason.
 *
 * @throws InvalidArgumentsException for options with which no lock can be taken
 */
export function tryTranslating<N>(translate: () => N): N | { kind: 'connection'; reason: string } {
  try {
    return translate()
  } catch (error) {
    if (error instanceof InvalidArgumentsException) throw error
    // Of other errors nothing is told: they might quote an option's value.
    const reason = error instanceof Untranslatable ? error.message : "its options can't be read"
    return { kind: 'connection', reason }
  }
}
