import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../../scripts/database/server.mjs'
import { placeOf } from './database_servers.mjs'

/** @import { Contender } from './types.mjs' */

const source = fileURLToPath(
  new URL('../../src/store/database/postgres/statements.rs', import.meta.url)
)
const owner = 'k3v9x2m7q1w8e5r4t6y0u'

/**
 * Where pgbench is: with the server's programs, which aren't in everybody's PATH.
 */
export function findPgbench() {
  const named = process.env.LOQUET_POSTGRES_BIN
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root) : []
  const folders = versions
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => join(root, version, 'bin'))
  const beside = [...(named ? [named] : []), ...folders].map((folder) => join(folder, 'pgbench'))
  // What Debian has in the PATH is a script that looks for a server first
  return beside.find((path) => existsSync(path)) ?? findProgram('pgbench', [])
}

/**
 * The text of a statement of the store, as its source makes it.
 *
 * @param {'save' | 'delete'} name
 * @param {string} table
 * @returns {string}
 */
function statement(name, table) {
  const rust = readFileSync(source, 'utf8')
  /** @param {RegExp} pattern */
  const literal = (pattern) => {
    const found = pattern.exec(rust)?.[1]
    if (found === undefined) {
      throw new Error(`${source} doesn't say any more how "${name}" is made: ${pattern}`)
    }
    // In Rust a backslash swallows the end of the line and what the next one begins with
    return found.replace(/\\\n\s*/g, '')
  }
  /** @type {(text: string) => string} */
  const fill = (text) =>
    text.replace(/\{(\w+)\}/g, (_, part) => {
      if (part === 'table') {
        return table
      }
      return fill(literal(new RegExp(`\\b${part}(?:: &str)? =\\s+(?:format!\\()?"([^"]+)"`)))
    })
  return fill(literal(new RegExp(`\\b${name}: sql\\(format!\\(\\s*"([^"]+)"`)))
}

/**
 * The array of so many values, as Postgres reads one. pgbench puts the number of the client into keys.
 *
 * @param {number} rows
 * @param {(row: number) => unknown} value
 */
function array(rows, value) {
  return `{${Array.from({ length: rows }, (_, row) => value(row)).join()}}`
}

/**
 * An acquire and a release as pgbench's script: two transactions of one statement each. The parameters
 * are constants, the keys but for the client's number.
 *
 * @param {string} table
 * @param {number} rows - Of each statement: the pairs that are done at once
 */
function script(table, rows) {
  /** @param {string} text */
  const quoted = (text) => `'${text}'`
  const keys = quoted(array(rows, (row) => `orders.#.${10 + row}`)).replaceAll(
    '#',
    "' || :client_id || '"
  )
  const owners = quoted(array(rows, () => owner))
  const ttls = quoted(array(rows, () => 60_000))
  const locks = quoted(array(rows, (row) => 1_000 + row))
  const channels = quoted(array(rows, (row) => `loquet_${1_000 + row}`))
  /**
   * @param {string} text
   * @param {string[]} values
   */
  const bound = (text, values) =>
    `${text.replace(/\$(\d)/g, (_, number) => `(${values[Number(number) - 1]})`)};\n`
  return (
    bound(statement('save', table), [keys, owners, ttls]) +
    bound(statement('delete', table), [keys, owners, locks, channels, '4711'])
  )
}

/**
 * What the server and its own benchmark need for the two statements of a pair, prepared once.
 *
 * @param {object} load
 * @param {number} load.clients
 * @param {number} [load.rows] - Of each statement
 * @param {number} load.transactions - Of each client: acquires and releases together
 * @returns {Contender}
 */
export function pgbench({ clients, rows = 1, transactions }) {
  const batch = rows === 1 ? '' : `, ${rows} rows a statement`
  return {
    name: `pgbench -c ${clients}${batch}`,
    package: 'pgbench',
    open: async () => {
      const program = findPgbench()
      if (!program) {
        throw new Error('pgbench is missing (Debian, Ubuntu: apt-get install postgresql)')
      }
      const { connection, tableName } = placeOf('postgres', 'pgbench')
      const server = new URL(String(connection))
      const folder = mkdtempSync(join(tmpdir(), 'loquet-bench-pgbench-'))
      process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
      const file = join(folder, 'pair.sql')
      writeFileSync(file, script(tableName, rows))
      const threads = Math.min(clients, 2)
      return async () => {
        const { stdout, stderr, status } = spawnSync(
          program,
          [
            ...[
              '-h',
              server.hostname,
              '-p',
              server.port,
              '-U',
              decodeURIComponent(server.username),
            ],
            ...['-n', '-M', 'prepared', '-c', `${clients}`, '-j', `${threads}`],
            ...['-t', `${transactions}`, '-f', file, server.pathname.slice(1)],
          ],
          {
            encoding: 'utf8',
            env: { ...process.env, PGPASSWORD: decodeURIComponent(server.password) },
          }
        )
        const rate = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1])
        if (status !== 0 || !(rate > 0)) {
          throw new Error(`pgbench ended with ${status}: ${stderr}${stdout}`)
        }
        return { time: 1e6 / rate / rows }
      }
    },
  }
}
