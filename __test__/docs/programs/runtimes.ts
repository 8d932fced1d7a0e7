import { sample } from '../program.js'
import type { Program } from '../program.js'

const PAGE = 'docs/runtimes.md'

export const runtimes: Record<string, Program> = {
  'Runtimes: CommonJS': {
    isCommonJs: true,
    parts: [
      "const assert = require('node:assert/strict')",
      sample(`${PAGE}#commonjs`),
      `const verrou = new Verrou({ default: 'memory', stores: { memory: { driver: memoryStore() } } })
      verrou.createLock('key').run(() => 'done').then((result: unknown) => {
        assert.deepEqual(result, [true, 'done'])
        return import('loquet')
      }).then((imported: { Verrou: unknown }) => assert.equal(imported.Verrou, Verrou))`,
    ],
  },

  'Runtimes: the config of Jest': {
    isCommonJs: true,
    parts: [
      sample(`${PAGE}#commonjs:2`),
      `const ignored = (path: string) =>
        module.exports.transformIgnorePatterns.some((each: string) => new RegExp(each).test(path))
      const paths = ['loquet', '@adonisjs/lock', '@verrou/core', 'other', 'loquet-linux-x64-gnu']
      require('node:assert/strict').deepEqual(
        paths.map((name) => ignored(\`/app/node_modules/\${name}/index.js\`)),
        [false, false, false, true, true]
      )`,
    ],
  },
}
