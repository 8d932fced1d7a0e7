/**
 * Links of all pages lead to files and headings that exist.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from '@japa/runner'
import { root } from '../types/consumer.js'
import { PAGES } from './pages.js'
import { parsePage, readPage } from './samples.js'
import type { Page } from './samples.js'

const ALL = [
  ...PAGES,
  'docs/architecture.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'LICENSE.md',
  'bench/README.md',
  'examples/adonis/README.md',
  'examples/plain-node/README.md',
]

const LINK = /!?\[(?:[^\]`]|`[^`]*`)*\]\(([^)\s]+)\)/g

/** Where the links of a page lead, without those within code. */
function linksOf({ prose }: Page): { target: string; line: number }[] {
  // A link may go on in the next line; what is between backticks on its own is code.
  const text = prose.map((each) => each.text).join('\n')
  return [...text.matchAll(LINK)].map((match) => ({
    target: match[1],
    line: prose[text.slice(0, match.index).split('\n').length - 1].line,
  }))
}

/** Says what is wrong with a link, or nothing. Other sites aren't asked; they have to be spelled as addresses. */
function flawOf(page: string, target: string): string | undefined {
  if (/^https?:/.test(target)) {
    return URL.canParse(target) && target.startsWith('https:') ? undefined : 'not an address'
  }
  const [path, anchor] = target.split('#')
  const file = path === '' ? page : normalize(join(dirname(page), path))
  if (!existsSync(join(root, file))) return `${file} doesn't exist`
  if (anchor === undefined) return undefined
  return readPage(file).anchors.includes(anchor) ? undefined : `${file} has no heading #${anchor}`
}

test.group('Links', () => {
  test('links of {$self} lead somewhere')
    .with(ALL)
    .run(({ assert }, page) => {
      const flaws = linksOf(readPage(page))
        .map(({ target, line }) => ({ target, line, flaw: flawOf(page, target) }))
        .filter(({ flaw }) => flaw !== undefined)

      assert.deepEqual(flaws, [])
    })

  test('links that lead nowhere are found', ({ assert }) => {
    const page = parsePage(
      '[a](none.md) [`b`](#none)\n\n```md\n[c](none.md)\n```\n[d\ne](http://x)\n'
    )

    assert.deepEqual(linksOf(page), [
      { target: 'none.md', line: 1 },
      { target: '#none', line: 1 },
      { target: 'http://x', line: 6 },
    ])
    for (const { target } of linksOf(page)) assert.isString(flawOf('README.md', target))
  })

  test('every page is linked from the README or from a page that is', ({ assert }) => {
    const reached = new Set(['README.md'])
    for (const page of reached) {
      for (const { target } of linksOf(readPage(page))) {
        const file = normalize(join(dirname(page), target.split('#')[0]))
        if (/^docs\/.*\.md$/.test(file) && existsSync(join(root, file))) reached.add(file)
      }
    }
    const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))

    assert.includeMembers(
      [...reached],
      pages.map((name) => `docs/${name}`)
    )
  })

  test('the README has less than 150 lines', ({ assert }) => {
    assert.isBelow(readFileSync(join(root, 'README.md'), 'utf8').split('\n').length, 150)
  })
})
