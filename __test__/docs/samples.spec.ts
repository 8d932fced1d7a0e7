import { test } from '@japa/runner'
import { anchorOf, parsePage } from './samples.js'

test.group('Samples of a page', () => {
  test('fenced blocks are read word for word, with language, title and line', ({ assert }) => {
    const page = [
      '# A page',
      '',
      'Some `text`.',
      '',
      '```ts title="config/lock.ts" twoslash',
      'const text = `a ${b}`',
      '',
      '  indented()',
      '```',
      '',
      '```',
      'no language',
      '```',
    ].join('\n')

    assert.deepEqual(parsePage(page).samples, [
      {
        title: 'config/lock.ts',
        language: 'ts',
        code: 'const text = `a ${b}`\n\n  indented()\n',
        line: 5,
        info: 'ts title="config/lock.ts" twoslash',
        section: 'a-page',
      },
      { language: '', code: 'no language\n', line: 11, info: '', section: 'a-page' },
    ])
  })

  test('a fence within a longer one, or of the other kind, is part of the sample', ({ assert }) => {
    const page = '````md\n```ts\ncode\n```\n````\n~~~sh\n```\n~~~\n'

    assert.deepEqual(
      parsePage(page).samples.map(({ language, code }) => ({ language, code })),
      [
        { language: 'md', code: '```ts\ncode\n```\n' },
        { language: 'sh', code: '```\n' },
      ]
    )
  })

  test('a sample within a list loses the indentation of its fence', ({ assert }) => {
    const page = '1. Do this:\n\n   ```ts\n   if (a) {\n     b()\n   }\n   ```\n'

    assert.equal(parsePage(page).samples[0].code, 'if (a) {\n  b()\n}\n')
  })

  test('three marks with code behind them on the same line are no fence', ({ assert }) => {
    assert.deepEqual(parsePage('```inline``` text\n').samples, [])
  })

  test('anchors are those of GitHub, numbered where they occur again', ({ assert }) => {
    const page = '# Redis\n\n## A `key`: what (else)?\n\n```sh\n# a comment\n```\n\n## Redis\n'

    assert.deepEqual(parsePage(page).anchors, ['redis', 'a-key-what-else', 'redis-1'])
    assert.equal(anchorOf('[Options](redis.md) of `E_LOCK_CLOSED`'), 'options-of-e_lock_closed')
  })

  test('a fence that is never closed is an error that names its line', ({ assert }) => {
    assert.throws(() => parsePage('text\n\n```ts\ncode\n', 'docs/page.md'), /docs\/page\.md:3/)
  })
})
