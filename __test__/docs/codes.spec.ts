/**
 * Every code that the sources give an error or a warning has its section in docs/troubleshooting.md.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from '@japa/runner'
import { root } from '../types/consumer.js'
import { anchorOf, readPage } from './samples.js'

const PAGE = 'docs/troubleshooting.md'

/** Words of Redis, SQLite and the operating system, of which no source knows. */
const SERVERS = ['NOAUTH', 'WRONGPASS', 'NOPERM', 'OOM', 'refused', 'disk I/O error']

/** The sources, without tests that stand among them. */
function sources(): string[] {
  return ['lib', 'src'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|cts|cjs|rs)$/.test(name) && !/(^|\/)tests(\.rs|\/)/.test(name))
      .map((name) => readFileSync(join(root, folder, name), 'utf8'))
  )
}

function findAll(pattern: RegExp): string[] {
  const found = sources().flatMap((text) => [...text.matchAll(pattern)].map(([, name]) => name))
  return [...new Set(found)].sort()
}

test.group('Codes', () => {
  // `LOQUET_REDIS_CONNECTION` is the code of a warning where it is quoted, `LOQUET_BINARY` a variable where it is not.
  const codes = [
    ...findAll(/\b(E_(?:LOCK|INVALID)_[A-Z_]*[A-Z])\b/g),
    ...findAll(/['"](LOQUET_[A-Z_]+)['"]/g),
  ]
  const { anchors } = readPage(PAGE)

  test('every code has a section', ({ assert }) => {
    assert.includeMembers(codes, ['E_LOCK_NOT_OWNED', 'LOQUET_REDIS_CONNECTION'])
    const missing = codes.filter((code) => !anchors.includes(anchorOf(code)))

    assert.deepEqual(missing, [])
  })

  test('every section that is called after a code has one', ({ assert }) => {
    const named = anchors.filter((anchor) => /^(e_|loquet_)/.test(anchor))

    assert.sameMembers(named, codes.map(anchorOf))
  })

  test('parts of messages are those that the sources or the servers have', ({ assert }) => {
    const { prose } = readPage(PAGE)
    const start = prose.findIndex(({ text }) => text.startsWith('| the message'))
    const rows = prose.slice(start + 2).filter(({ text }) => text.startsWith('|'))
    const parts = rows.flatMap(({ text }) =>
      [...text.split('|')[1].matchAll(/`([^`]+)`/g)].flatMap(([, part]) => part.split(' … '))
    )
    const known = sources().join('\n')

    assert.isAtLeast(parts.length, 10)
    const unknown = parts.filter((part) => !known.includes(part) && !SERVERS.includes(part))
    assert.deepEqual(unknown, [])
  })

  test('every variable of the environment that changes what an app does is mentioned', ({
    assert,
  }) => {
    const page = readFileSync(join(root, PAGE), 'utf8')

    for (const name of findAll(/env\.(LOQUET_[A-Z_]+)/g)) assert.include(page, name)
  })
})
