/**
 * The options of Node.js's TLS that an ioredis connection bears, as the native side takes them.
 */
import { assertUsualVersions, pemTextsOf, rejectsUnauthorized } from '../translation/pem.js'
import { index } from '../translation/rows.js'
import { assertTranslatable, cannot, textOf } from '../translation/values.js'
import { TLS_OPTIONS } from './options_table.js'
import type { RawOptions, RedisTls } from './settings.js'

const ROWS = index(TLS_OPTIONS)

/**
 * @param value - `tls` or `sentinelTLS` as ioredis takes it; anything that isn't an object stands for the defaults
 * @param option - Which of the two
 * @param server - Told the host and the port that replace the server's; without it there is no such server
 */
export function translateTls(
  value: unknown,
  option: string,
  server?: (address: { host?: unknown; port?: unknown }) => void
): RedisTls | undefined {
  if (!value) return undefined
  // Of a URL's query. Otherwise a text is the name of a profile.
  if (typeof value === 'string' && value !== 'true') {
    throw cannot(option, 'the certificates of a profile are part of ioredis')
  }
  const options = (typeof value === 'object' ? value : {}) as RawOptions
  assertTranslatable(options, ROWS, `${option}.`)

  if (options.profile) {
    throw cannot(`${option}.profile`, 'the certificates of a profile are part of ioredis')
  }
  assertUsualVersions(options, option)
  if (options.host || options.port) {
    const name = options.host ? 'host' : 'port'
    if (!server) throw cannot(`${option}.${name}`, 'there is more than one server')
    server(options)
  }

  return {
    ...pemTextsOf(options, option),
    servername: textOf(options.servername, `${option}.servername`),
    rejectUnauthorized: rejectsUnauthorized(options),
  }
}
