/**
 * What becomes of each option of ioredis. The cases here are checked against the tables in the code, those against the
 * documentation and against ioredis's own declarations: an option that a later version brings fails a test.
 */
import { readFileSync } from 'node:fs'

import { test } from '@japa/runner'
import { Cluster, Redis } from 'ioredis'

import {
  CLUSTER_OPTIONS,
  REDIS_OPTIONS,
  TLS_OPTIONS,
} from '../../lib/drivers/redis/options_table.js'
import { declaredNames, namesIn, tablesOf } from '../translation/options.js'
import type { CarriedCase } from '../translation/options.js'
import { CLUSTER_CASES, REDIS_CASES, TLS_CASES } from './option_cases.js'
import { LAZY, cluster, config, instance, reasonOf, settingsOf } from './translations.js'

const root = new URL('../../', import.meta.url)

/** Options that ioredis 6 brought; unknown to the declarations of ioredis 5. */
const SINCE_6 = ['protocol', 'replyMapping', 'himportFieldsets']

test.group('Redis settings | tables', () => {
  test('the documentation shows the tables of the code', ({ assert }) => {
    const tables = tablesOf(readFileSync(new URL('docs/redis.md', root), 'utf8'))
    const expected = {
      'Options of a connection': REDIS_OPTIONS,
      'Options of a cluster': CLUSTER_OPTIONS,
      'Options of TLS': TLS_OPTIONS,
    }

    assert.sameMembers([...tables.keys()], Object.keys(expected))
    for (const [heading, rows] of Object.entries(expected)) {
      assert.deepEqual(
        tables.get(heading),
        rows.map(({ option, fate, why }) => [`\`${option}\``, fate, why])
      )
    }
  })

  test("the tables know every option of ioredis's declarations, and no other", ({ assert }) => {
    const declared = declaredNames({
      Single: "import('ioredis').RedisOptions",
      Nodes: "import('ioredis').ClusterOptions",
      Tls: "import('node:tls').ConnectionOptions",
    })
    const later = SINCE_6.filter((name) => !declared.Single.includes(name))

    assert.sameMembers(namesIn(REDIS_OPTIONS), [...declared.Single, ...later])
    assert.sameMembers(namesIn(CLUSTER_OPTIONS), [
      ...declared.Nodes,
      ...later.filter((name) => name === 'himportFieldsets'),
    ])
    // The profiles are ioredis's own. Which options Node.js has depends on the version of its declarations.
    assert.includeMembers(namesIn(TLS_OPTIONS), [...declared.Tls, 'profile'])
  }).timeout(120_000)

  test('no option is named twice', ({ assert }) => {
    for (const rows of [REDIS_OPTIONS, CLUSTER_OPTIONS, TLS_OPTIONS]) {
      assert.lengthOf(new Set(namesIn(rows)), rows.length)
    }
  })
})

/** Values of any kind: what has no meaning must have none, whatever it is set to. */
const STRIKING = [true, 7, 'text', () => null, { a: 1 }, ['a']]

for (const { of, rows, cases, translate } of [
  {
    of: 'a connection',
    rows: REDIS_OPTIONS,
    cases: REDIS_CASES,
    translate: (options: object) => config(options),
  },
  {
    of: 'a cluster',
    rows: CLUSTER_OPTIONS,
    cases: CLUSTER_CASES,
    translate: (options: object) => cluster(options),
  },
  {
    of: 'TLS',
    rows: TLS_OPTIONS,
    cases: TLS_CASES,
    translate: (options: object) => config({ tls: options }),
  },
]) {
  test.group(`Redis settings | options of ${of}`, () => {
    test('each option that is carried over has a case', ({ assert }) => {
      assert.sameMembers(
        [...new Set(cases.map(({ option }) => option))],
        [...namesIn(rows, 'carried over')]
      )
    })

    test('carried over: {$self}')
      .with(cases.map(({ option }, index) => `${option} (${index})`))
      .run(({ assert }, name) => {
        const { given, expected, keyPrefix } = cases[
          Number(/\((\d+)\)/.exec(name)![1])
        ] as CarriedCase
        const result = translate(given)
        if (typeof expected === 'string') assert.include(reasonOf(result), expected)
        else assert.containSubset(settingsOf(result), expected)
        if (keyPrefix !== undefined) assert.containSubset(result, { keyPrefix })
      })

    test('no meaning: {$self}')
      .with(namesIn(rows, 'no meaning'))
      .run(({ assert }, option) => {
        const plain = translate({})
        for (const value of STRIKING) assert.deepEqual(translate({ [option]: value }), plain)
      })

    test('own connection: {$self}')
      .with(namesIn(rows, 'own connection'))
      .run(({ assert }, option) => {
        const { why } = rows.find((row) => row.option === option)!
        const reason = reasonOf(translate({ [option]: () => {} }))
        assert.include(reason, `${option}" can't be carried over: ${why}`)
        // What isn't set, or set to what it is anyway, counts for nothing.
        for (const value of [undefined, null, false]) {
          assert.deepEqual(translate({ [option]: value }), translate({}))
        }
      })

    test('an option that nobody knows is named', ({ assert }) => {
      assert.match(reasonOf(translate({ shoeSize: 43 })), /"(tls\.)?shoeSize" isn't known/)
      assert.deepEqual(translate({ shoeSize: undefined }), translate({}))
    })
  })
}

test.group('Redis settings | instances', () => {
  test('what ioredis fills in by itself is no reason: {$self}')
    .with(['nothing', 'sentinels', 'a cluster', 'a port', 'a URL', 'TLS'])
    .run(({ assert }, kind) => {
      const made = {
        'nothing': () => new Redis(LAZY),
        'sentinels': () => new Redis({ ...LAZY, sentinels: [{ host: 'a' }], name: 'main' }),
        'a cluster': () => new Cluster([{ host: 'a' }], LAZY),
        'a port': () => new Redis(6380, LAZY),
        'a URL': () => new Redis('redis://a', LAZY),
        'TLS': () => new Redis('rediss://a', LAZY),
      }[kind]!()

      assert.containSubset(instance(made), { kind: 'native', warnings: [], keyPrefix: '' })
    })

  test('an instance and the options that it was made of give the same', ({ assert }) => {
    for (const { option, given } of REDIS_CASES) {
      const options = given as Record<string, any>
      // A `Secret` is unpacked by AdonisJS before ioredis sees it; a socket has the path of its own.
      if (typeof options.password === 'object' || typeof options.sentinelPassword === 'object')
        continue
      if (options.role === 'slave') continue
      assert.deepEqual(instance(new Redis({ ...LAZY, ...options })), config(options), option)
    }
  })

  test('a database that was chosen after the connection was made counts', ({ assert }) => {
    const redis = new Redis({ ...LAZY, db: 2 })
    Object.assign(redis, { condition: { select: 5 } })

    assert.equal(settingsOf(instance(redis)).db, 5)
  })

  test('a connection that may do as it likes is asked for each command: {$self}')
    .with(['a proxy', 'a subclass', 'a spy', 'a double', 'computed credentials'])
    .run(async ({ assert }, kind) => {
      const { default: Mock } = await import('ioredis-mock')
      const spied = new Redis(LAZY)
      Object.assign(spied, { set: () => {} })
      const computed = new Redis(LAZY)
      Object.defineProperty(computed.options, 'password', { get: () => 'hunter2' })
      const [made, reason] = {
        'a proxy': [new Proxy(new Redis(LAZY), {}), 'is a proxy'],
        'a subclass': [new (class extends Redis {})(LAZY), 'derived from ioredis'],
        'a spy': [spied, 'method "set" has been replaced'],
        'a double': [new Mock(), 'is no ioredis instance'],
        'computed credentials': [computed, '"password" can\'t be carried over'],
      }[kind]! as [object, string]

      assert.include(reasonOf(instance(made)), reason)
      assert.notInclude(reasonOf(instance(made)), 'hunter2')
    })

  test('commands of the app on the instance are no reason', ({ assert }) => {
    const redis = new Redis(LAZY)
    redis.defineCommand('twice', { numberOfKeys: 1, lua: 'return 2' })

    assert.equal(instance(redis).kind, 'native')
  })
})

test.group('Redis settings | clusters', () => {
  test('nodes are objects, URLs or ports', ({ assert }) => {
    const made = new Cluster(
      [{ host: 'a', port: 7000 }, 'redis://b:7001/3', 7002, { host: '::1' }],
      LAZY
    )

    assert.deepEqual(settingsOf(instance(made)).nodes, [
      { host: 'a', port: 7000 },
      { host: 'b', port: 7001 },
      { host: '127.0.0.1', port: 7002 },
      { host: '::1', port: 6379 },
    ])
  })

  test('what all nodes have in common counts as if it were said once', ({ assert }) => {
    const nodes = ['redis://app:hunter2@a:1', 'redis://app:hunter2@b:2']
    const made = new Cluster(nodes, { ...LAZY, redisOptions: { password: 'other' } })

    assert.containSubset(settingsOf(instance(made)), { username: 'app', password: 'hunter2' })
  })

  test('nodes that differ are left to ioredis', ({ assert }) => {
    const made = new Cluster(['redis://:hunter2@a:1', 'redis://b:2'], LAZY)

    assert.include(reasonOf(instance(made)), "don't have the same options")
    assert.notInclude(reasonOf(instance(made)), 'hunter2')
  })

  test('a warning tells what ioredis passes over', ({ assert }) => {
    const misplaced = new Cluster(['rediss://a:1'], { ...LAZY, password: 'hunter2' } as object)
    const result = instance(misplaced)

    assert.containSubset(result, {
      kind: 'native',
      warnings: [
        '"password" counts only within "redisOptions" of a cluster',
        '"rediss:" of a node isn\'t heeded without "tls" within "redisOptions"',
      ],
    })
    assert.isUndefined(settingsOf(result).password)
    assert.containSubset(config({ clusters: [{ host: 'a', port: 1 }], password: 'hunter2' }), {
      warnings: ['"password" isn\'t heeded beside "clusters", but within "clusterOptions"'],
    })
  })

  test('no node at all is left to ioredis', ({ assert }) => {
    assert.include(reasonOf(config({ clusters: [] })), 'no node')
  })
})

test.group('Redis settings | sentinels', () => {
  const sentinels = [{ host: 'a' }, { host: 'b', port: 26_380 }]

  test('they are asked by a name, with a login and TLS of their own', ({ assert }) => {
    const made = new Redis({
      ...LAZY,
      sentinels,
      name: 'main',
      username: 'app',
      password: 'hunter2',
      sentinelPassword: 'hunter3',
      sentinelTLS: { servername: 'sentinel.test' },
      enableTLSForSentinelMode: true,
      tls: {},
      db: 1,
      natMap: { '10.0.0.1:6379': { host: 'outside', port: 1 } },
    })

    assert.containSubset(settingsOf(instance(made)), {
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 26_380 },
      ],
      username: 'app',
      password: 'hunter2',
      db: 1,
      tls: { rejectUnauthorized: true },
      sentinel: { name: 'main', password: 'hunter3', tls: { servername: 'sentinel.test' } },
      natMap: [{ from: '10.0.0.1:6379', host: 'outside', port: 1 }],
    })
  })

  test('"tls" alone encrypts nothing there, as with ioredis, and a warning says so', ({
    assert,
  }) => {
    const result = config({ sentinels, name: 'main', tls: {} })

    assert.isUndefined(settingsOf(result).tls)
    assert.containSubset(result, {
      warnings: ['without "enableTLSForSentinelMode" the option "tls" isn\'t used for the primary'],
    })
  })

  test('a replica is refused: {$self}')
    .with(['an instance', 'a config'])
    .run(({ assert }, kind) => {
      const options = { sentinels, name: 'main', role: 'slave' as const }
      const translate = () =>
        kind === 'a config' ? config(options) : instance(new Redis({ ...LAZY, ...options }))

      assert.throws(translate, /no lock can be taken on a replica/)
    })

  test('what the primary is not asked for has no meaning', ({ assert }) => {
    assert.equal(config({ role: 'slave' }).kind, 'native')
    assert.equal(config({ natMap: () => null }).kind, 'native')
    assert.include(reasonOf(config({ sentinels, name: 'main', natMap: () => null })), '"natMap"')
    assert.include(reasonOf(config({ sentinels: [{ host: 'a', tls: {} }], name: 'main' })), '"tls"')
    assert.include(reasonOf(config({ sentinels })), '"name"')
  })
})
