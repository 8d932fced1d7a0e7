import { configPkg } from '@adonisjs/eslint-config'

export default configPkg({
  ignores: [
    'build/**',
    'npm/**',
    'tmp/**',
    'target/**',
    'index.d.ts',
    'examples/**/build/**',
    '**/node_modules/**',
    '__test__/types/document/**',
  ],
})
