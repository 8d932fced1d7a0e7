import { startDatabases } from './database_servers.mjs'
import { nodeBinaries } from './nodes.mjs'
import { findPgbench } from './pgbench.mjs'
import { serverVersion, startServer } from './redis_server.mjs'

/** @import { Place } from './rounds.mjs' */

/**
 * A part of the benchmarks with a run, results and a plot of its own.
 *
 * @typedef {object} BenchSet
 * @property {string[]} items - Files of `items/`
 * @property {number} rounds - If not told otherwise
 * @property {string} caption - Of the plot
 * @property {string[]} packages - Whose versions matter
 * @property {() => Place[]} places
 * @property {() => string | undefined} [missing] - What it takes and isn't there
 * @property {() => Promise<Running>} [start]
 *
 * @typedef {object} Running - What is there while a set runs
 * @property {() => Promise<unknown>} before - Each measurement
 * @property {() => Promise<unknown>} stop
 * @property {Record<string, string>} versions
 */

/** @type {Record<string, BenchSet>} */
export const sets = {
  memory: {
    items: ['pair', 'hand_over', 'expiry', 'memory', 'import_cost', 'before'],
    rounds: 7,
    caption: 'Peers in memory, side by side with loquet',
    packages: ['loquet', '@verrou/core', 'ioredis', 'async-mutex', 'async-lock'],
    places: () => [{ path: process.execPath }],
  },

  redis: {
    items: [
      ...['redis_pair', 'redis_queue', 'redis_fleet', 'redis_scaling', 'redis_keeping'],
      'redis_before',
    ],
    rounds: 5,
    caption: 'Peers on Redis, side by side with loquet',
    packages: ['loquet', '@verrou/core', 'ioredis', 'redlock', 'redlock-5', 'redis-semaphore'],
    places: nodeBinaries,
    missing: () =>
      serverVersion()
        ? undefined
        : 'redis-server is not installed (Debian, Ubuntu: apt-get install redis-server)',
    start: async () => {
      const server = await startServer()
      return {
        before: server.clear,
        stop: server.stop,
        versions: { 'redis-server': serverVersion() ?? 'unknown' },
      }
    },
  },

  database: {
    items: ['database_pair', 'database_queue', 'database_fleet'],
    rounds: 5,
    caption: 'Verrou on knex in Postgres, MySQL and SQLite, side by side with loquet',
    packages: ['loquet', '@verrou/core', 'knex', 'pg', 'mysql2', 'better-sqlite3'],
    // better-sqlite3 is built for the Node.js that installed it
    places: () => [{ path: process.execPath }],
    missing: () =>
      findPgbench()
        ? undefined
        : 'pgbench is not installed (Debian, Ubuntu: apt-get install postgresql mariadb-server)',
    start: async () => {
      const { clear, stop, versions } = await startDatabases()
      return { before: clear, stop, versions }
    },
  },
}
