/**
 * How it is written down what becomes of the options of other packages. The documentation shows these tables, and tests
 * compare them with the page and with the packages' own declarations.
 */

/**
 * - `carried over`: the native connection does the same.
 * - `no meaning`: nothing that a lock does depends on it.
 * - `own connection`: when it is set, the store runs on the app's own connection.
 */
export type Fate = 'carried over' | 'no meaning' | 'own connection'

export interface OptionRow {
  option: string
  fate: Fate
  /** Why, or how; in Markdown. For `own connection` it completes the sentence 'the option "x" can't be carried over: …' */
  why: string
}

export const carried = (option: string, why: string): OptionRow => ({
  option,
  fate: 'carried over',
  why,
})

export const none = (option: string, why: string): OptionRow => ({
  option,
  fate: 'no meaning',
  why,
})

export const own = (option: string, why: string): OptionRow => ({
  option,
  fate: 'own connection',
  why,
})

/** The rows by the names of their options. */
export function index(rows: readonly OptionRow[]): Map<string, OptionRow> {
  return new Map(rows.map((row) => [row.option, row]))
}

const PER_SERVER = 'a client never uses it'
const SOCKET = 'it makes the socket in a way of its own'
const HANDSHAKE = "the native side has its own TLS, where this can't be set"

/**
 * Options of Node.js's TLS that no native connection has.
 */
export const FOREIGN_TLS_OPTIONS: readonly OptionRow[] = [
  own('checkServerIdentity', 'a function decides whether the certificate fits'),
  own('pfx', 'only PEM can be read'),
  own('passphrase', "only keys that aren't encrypted can be read"),
  own('secureContext', "what is in it can't be read"),
  own('session', HANDSHAKE),
  own('ALPNProtocols', HANDSHAKE),
  own('pskCallback', HANDSHAKE),
  own('ciphers', HANDSHAKE),
  own('sigalgs', HANDSHAKE),
  own('ecdhCurve', HANDSHAKE),
  own('minDHSize', HANDSHAKE),
  own('secureOptions', HANDSHAKE),
  own('secureProtocol', HANDSHAKE),
  own('crl', HANDSHAKE),
  own('allowPartialTrustChain', HANDSHAKE),
  own('clientCertEngine', HANDSHAKE),
  own('privateKeyEngine', HANDSHAKE),
  own('privateKeyIdentifier', HANDSHAKE),
  own('path', SOCKET),
  own('socket', SOCKET),
  own('lookup', SOCKET),
  own('timeout', SOCKET),

  none('requestCert', PER_SERVER),
  none('SNICallback', PER_SERVER),
  none('ALPNCallback', PER_SERVER),
  none('dhparam', PER_SERVER),
  none('honorCipherOrder', PER_SERVER),
  none('sessionIdContext', PER_SERVER),
  none('sessionTimeout', PER_SERVER),
  none('ticketKeys', PER_SERVER),
  none('enableTrace', "about the log of Node.js's own TLS"),
]
