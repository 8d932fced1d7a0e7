import { defineConfig } from '@adonisjs/core/bodyparser'

/**
 * The routes take JSON and nothing else.
 */
export default defineConfig({
  allowedMethods: ['POST'],
  json: {
    convertEmptyStringsToNull: true,
    types: ['application/json'],
  },
})
