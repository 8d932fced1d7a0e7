/**
 * Certificates and keys as Node.js's TLS takes them, and as the native side does.
 */
import tls from 'node:tls'

import { Untranslatable, cannot, textOf } from './values.js'
import type { RawOptions } from './values.js'

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----/g
const KEY_LABELS = ['PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY']

/** Texts are PEM. */
export interface PemTexts {
  /** The authorities that are trusted; those that Node.js trusts if there are none. */
  ca: string[]
  cert?: string
  key?: string
}

/**
 * Refuses the versions of TLS that the native side doesn't limit itself to.
 *
 * @param option - What the options are called, for the reason
 */
export function assertUsualVersions(options: RawOptions, option: string): void {
  for (const [name, usual] of [
    ['minVersion', 'TLSv1.2'],
    ['maxVersion', 'TLSv1.3'],
  ] as const) {
    const version = options[name]
    if (version && version !== usual) {
      throw cannot(`${option}.${name}`, 'the native side speaks TLS 1.2 and 1.3')
    }
  }
}

/**
 * @param option - What the options are called, for the reason
 */
export function pemTextsOf(options: RawOptions, option: string): PemTexts {
  const ca = pemsOf(options.ca, `${option}.ca`, ['CERTIFICATE'])
  const cert = pemsOf(options.cert, `${option}.cert`, ['CERTIFICATE'])
  const key = pemsOf(options.key, `${option}.key`, [...KEY_LABELS, 'EC PARAMETERS', 'CERTIFICATE'])
  if (cert.length !== key.length || cert.length > 1) {
    const name = cert.length < key.length ? 'key' : 'cert'
    throw cannot(`${option}.${name}`, 'one certificate chain and one key belong together')
  }
  return { ca: ca.length > 0 ? ca : usualAuthorities(option), cert: cert[0], key: key[0] }
}

/** What Node.js's TLS makes of `rejectUnauthorized`. */
export function rejectsUnauthorized(options: RawOptions): boolean {
  return 'rejectUnauthorized' in options
    ? options.rejectUnauthorized !== false
    : process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0'
}

/**
 * PEM texts.
 *
 * @param labels - The kinds of blocks that the native side can read
 */
function pemsOf(value: unknown, option: string, labels: string[]): string[] {
  if (!value) return []
  return (Array.isArray(value) ? value : [value]).map((one: unknown) => {
    const text =
      one instanceof Uint8Array && !Buffer.isBuffer(one)
        ? textOf(Buffer.from(one), option)
        : typeof one === 'string' || Buffer.isBuffer(one)
          ? textOf(one, option)
          : undefined
    const found = [...(text ?? '').matchAll(BLOCK)].map(([, label]) => label)
    if (text === undefined || found.length === 0) throw cannot(option, 'it is no PEM text')
    if (text.includes('Proc-Type: 4,ENCRYPTED') || found.includes('ENCRYPTED PRIVATE KEY')) {
      throw cannot(option, "only keys that aren't encrypted can be read")
    }
    const strange = found.find((label) => !labels.includes(label))
    if (strange !== undefined) throw cannot(option, `a PEM block "${strange}" can't be read`)
    return text
  })
}

/**
 * The authorities that Node.js trusts where an option names none. An empty list stands for Mozilla's and those of
 * `NODE_EXTRA_CA_CERTS`, which the native side has itself; a process may have been told to trust others.
 */
function usualAuthorities(option: string): string[] {
  const flags = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(/\s+/)]
  const asksSystem = flags.includes('--use-system-ca') || process.env.NODE_USE_SYSTEM_CA === '1'
  if (flags.includes('--use-openssl-ca')) {
    throw new Untranslatable(
      `the option "${option}" can't be carried over: Node.js was started with --use-openssl-ca`
    )
  }
  if (!asksSystem) return []
  // Since Node.js 22.15.
  const { getCACertificates } = tls as { getCACertificates?: (type?: 'default') => string[] }
  return getCACertificates?.('default') ?? []
}
