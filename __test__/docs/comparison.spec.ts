/**
 * The README compares with certain versions of the peers: those that are measured and tested beside loquet.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from '@japa/runner'
import { root } from '../types/consumer.js'

const read = (path: string) => readFileSync(join(root, path), 'utf8')

test.group('Comparison', () => {
  test('the versions are those that are measured', ({ assert }) => {
    const { dependencies } = JSON.parse(read('bench/package.json')) as {
      dependencies: Record<string, string>
    }
    const text = read('README.md').replaceAll(/\s+/g, ' ')

    assert.include(text, `Verrou ${dependencies['@verrou/core']},`)
    for (const name of ['async-mutex', 'redlock', 'redis-semaphore']) {
      assert.include(text, `${name} ${dependencies[name]}`)
    }
  })

  test('the plots of the pages are drawn by the benchmarks', ({ assert }) => {
    for (const page of ['README.md', 'docs/performance.md']) {
      const plots = [...read(page).matchAll(/!\[[^\]]*\]\((?:\.\.\/)?(bench\/results\/[^)]+)\)/g)]
      assert.isNotEmpty(plots, page)
      for (const [, path] of plots) assert.match(read(path), /^<svg /)
    }
  })
})
