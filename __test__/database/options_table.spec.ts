/**
 * What becomes of each option of knex and of the drivers below it. The cases here are checked against the tables in the
 * code, those against the documentation and against the packages' own declarations: an option that a later version brings
 * fails a test.
 */
import { readFileSync } from 'node:fs'

import { test } from '@japa/runner'

import {
  KNEX_OPTIONS,
  MYSQL_OPTIONS,
  MYSQL_TLS_OPTIONS,
  POOL_OPTIONS,
  POSTGRES_OPTIONS,
  POSTGRES_TLS_OPTIONS,
  SQLITE_DRIVER_OPTIONS,
  SQLITE_OPTIONS,
} from '../../lib/drivers/database/options_table.js'
import type { OptionRow } from '../../lib/drivers/translation/rows.js'
import { declaredNames, namesIn, tablesOf } from '../translation/options.js'
import type { CarriedCase } from '../translation/options.js'
import {
  KNEX_CASES,
  MYSQL_CASES,
  MYSQL_TLS_CASES,
  POOL_CASES,
  POSTGRES_CASES,
  POSTGRES_TLS_CASES,
  SQLITE_CASES,
  mysql,
  postgres,
  sqlite,
} from './option_cases.js'
import { config, reasonOf, setEnvironment, settingsOf } from './translations.js'

const root = new URL('../../', import.meta.url)

interface Section {
  heading: string
  rows: readonly OptionRow[]
  cases: CarriedCase[]
  /** Where the option stands, for the reason. */
  place?: string
  /** A config of knex that has the options. */
  configOf(options: object): object
  /** The types that declare the options. */
  types: string[]
  /** Options that no type declares. */
  undeclared: string[]
}

const SECTIONS: Section[] = [
  {
    heading: 'Options of knex and of a connection in Lucid',
    rows: KNEX_OPTIONS,
    cases: KNEX_CASES,
    configOf: (options) => ({ client: 'pg', connection: { host: 'a' }, ...options }),
    types: [
      "import('knex').Knex.Config",
      "import('@adonisjs/lucid/types/database').ConnectionConfig",
    ],
    undeclared: ['healthCheck', 'userParams'],
  },
  {
    heading: 'Options of a pool',
    rows: POOL_OPTIONS,
    cases: POOL_CASES,
    place: 'pool.',
    configOf: (pool) => ({ client: 'pg', connection: { host: 'a' }, pool }),
    types: [
      "import('knex').Knex.PoolConfig",
      "NonNullable<import('@adonisjs/lucid/types/database').ConnectionConfig['pool']>",
    ],
    undeclared: [],
  },
  {
    heading: 'Options of a connection to Postgres',
    rows: POSTGRES_OPTIONS,
    cases: POSTGRES_CASES,
    configOf: postgres,
    types: ["import('knex').Knex.PgConnectionConfig", "import('pg').PoolConfig"],
    undeclared: [
      ...['connection', 'replication', 'binary', 'parseInputDatesAsUTC', 'pipeline', 'pgbouncer'],
      ...['scramMaxIterations', 'sslnegotiation'],
      ...['sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'uselibpqcompat'],
    ],
  },
  {
    heading: 'Options of a connection to MySQL or MariaDB',
    rows: MYSQL_OPTIONS,
    cases: MYSQL_CASES,
    configOf: mysql,
    types: ["import('knex').Knex.MySql2ConnectionConfig", "import('mysql2').PoolOptions"],
    undeclared: ['isServer', 'pool', 'localInfile', 'authSwitchHandler'],
  },
  {
    heading: 'Options of a connection to SQLite',
    rows: SQLITE_OPTIONS,
    cases: SQLITE_CASES,
    configOf: sqlite,
    types: [
      "import('knex').Knex.Sqlite3ConnectionConfig",
      "import('knex').Knex.BetterSqlite3ConnectionConfig",
      "import('@adonisjs/lucid/types/database').SqliteConfig['connection']",
    ],
    undeclared: [],
  },
  {
    heading: 'Options of better-sqlite3',
    rows: SQLITE_DRIVER_OPTIONS,
    cases: [],
    place: 'options.',
    configOf: (options) => ({
      client: 'better-sqlite3',
      connection: { filename: 'a.db', options },
    }),
    types: ["NonNullable<import('knex').Knex.BetterSqlite3ConnectionConfig['options']>"],
    undeclared: [],
  },
  {
    heading: 'Options of TLS to Postgres',
    rows: POSTGRES_TLS_OPTIONS,
    cases: POSTGRES_TLS_CASES,
    place: 'ssl.',
    configOf: (ssl) => postgres({ ssl }),
    types: ["import('node:tls').ConnectionOptions"],
    undeclared: [],
  },
  {
    heading: 'Options of TLS to MySQL or MariaDB',
    rows: MYSQL_TLS_OPTIONS,
    cases: MYSQL_TLS_CASES,
    place: 'ssl.',
    configOf: (ssl) => mysql({ ssl }),
    types: ["import('node:tls').ConnectionOptions", "import('mysql2').SslOptions"],
    undeclared: [],
  },
]

test.group('Database settings | tables', () => {
  test('the documentation shows the tables of the code', ({ assert }) => {
    const tables = tablesOf(readFileSync(new URL('docs/database.md', root), 'utf8'))

    assert.includeMembers(
      [...tables.keys()],
      SECTIONS.map(({ heading }) => heading)
    )
    for (const { heading, rows } of SECTIONS) {
      assert.deepEqual(
        tables.get(heading),
        rows.map(({ option, fate, why }) => [`\`${option}\``, fate, why]),
        heading
      )
    }
  })

  test("the tables know every option of the packages' declarations, and no other", ({ assert }) => {
    const types = SECTIONS.map((section, at) => [`Section${at}`, section.types.join(' | ')])
    const declared = declaredNames(Object.fromEntries(types))

    for (const [at, { heading, rows, undeclared }] of SECTIONS.entries()) {
      // Which options Node.js's TLS has depends on the version of its declarations.
      const compare = heading.includes('TLS') ? 'includeMembers' : 'sameMembers'
      const expected = [...new Set([...declared[`Section${at}`], ...undeclared])]
      assert[compare](namesIn(rows), expected, heading)
    }
  }).timeout(120_000)

  test('no option is named twice', ({ assert }) => {
    for (const { rows } of SECTIONS) assert.lengthOf(new Set(namesIn(rows)), rows.length)
  })
})

/** Values of any kind: what has no meaning must have none, whatever it is set to. */
const STRIKING = [true, 7, 'text', () => null, { a: 1 }, ['a']]

for (const { heading, rows, cases, place = '', configOf } of SECTIONS) {
  test.group(`Database settings | ${heading}`, (group) => {
    group.each.setup(() => setEnvironment())
    const translate = (options: object) => config(configOf(options))

    test('each option that is carried over has a case', ({ assert }) => {
      const named = [...new Set(cases.map(({ option }) => option))]
      // Lucid's replicas are unpacked before: see the tests of the app.
      assert.sameMembers(
        named,
        namesIn(rows, 'carried over').filter((option) => option !== 'replicas')
      )
    })

    if (cases.length > 0) {
      test('carried over: {$self}')
        .with(cases.map(({ option }, index) => `${option} (${index})`))
        .run(({ assert }, name) => {
          const { given, expected } = cases[Number(/\((\d+)\)/.exec(name)![1])]
          const result = place === '' && heading.includes('knex') ? config(given) : translate(given)
          if (typeof expected === 'string') {
            assert.include(reasonOf(result), expected)
            assert.notInclude(reasonOf(result), 'hunter2')
          } else assert.containSubset(settingsOf(result), expected)
        })
    }

    if (namesIn(rows, 'no meaning').length > 0) {
      test('no meaning: {$self}')
        .with(namesIn(rows, 'no meaning'))
        .run(({ assert }, option) => {
          const plain = translate({})
          for (const value of STRIKING) assert.deepEqual(translate({ [option]: value }), plain)
        })
    }

    if (namesIn(rows, 'own connection').length > 0) {
      test('own connection: {$self}')
        .with(namesIn(rows, 'own connection'))
        .run(({ assert }, option) => {
          const { why } = rows.find((row) => row.option === option)!
          const reason = reasonOf(translate({ [option]: () => {} }))
          assert.include(reason, `"${place}${option}" can't be carried over: ${why}`)
          // What isn't set, or set to what it is anyway, counts for nothing.
          for (const value of [undefined, null, false]) {
            assert.deepEqual(translate({ [option]: value }), translate({}))
          }
        })
    }

    test('an option that nobody knows is named', ({ assert }) => {
      if (place === 'options.') {
        // knex passes it over.
        assert.deepEqual(translate({ shoeSize: 43 }), translate({}))
        return
      }
      assert.match(reasonOf(translate({ shoeSize: 43 })), /"(ssl\.|pool\.)?shoeSize" isn't known/)
      assert.deepEqual(translate({ shoeSize: undefined }), translate({}))
    })
  })
}
