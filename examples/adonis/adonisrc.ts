import { defineConfig } from '@adonisjs/core/app'

export default defineConfig({
  commands: [() => import('@adonisjs/core/commands'), () => import('@adonisjs/lucid/commands')],

  providers: [
    () => import('@adonisjs/core/providers/app_provider'),
    {
      file: () => import('@adonisjs/core/providers/repl_provider'),
      environment: ['repl', 'test'],
    },
    () => import('@adonisjs/redis/redis_provider'),
    () => import('@adonisjs/lucid/database_provider'),
    () => import('@adonisjs/lock/lock_provider'),
    () => import('#providers/order_provider'),
  ],

  preloads: [() => import('#start/routes'), () => import('#start/kernel')],

  tests: {
    suites: [
      {
        name: 'functional',
        files: ['tests/functional/**/*.spec.{ts,js}'],
        timeout: 30_000,
      },
      {
        name: 'redis',
        files: ['tests/redis/**/*.spec.{ts,js}'],
        timeout: 60_000,
      },
      {
        name: 'database',
        files: ['tests/database/**/*.spec.{ts,js}'],
        timeout: 60_000,
      },
      {
        name: 'dynamodb',
        files: ['tests/dynamodb/**/*.spec.{ts,js}'],
        timeout: 60_000,
      },
    ],
    forceExit: false,
  },
})
