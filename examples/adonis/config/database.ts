import { mkdirSync } from 'node:fs'
import app from '@adonisjs/core/services/app'
import { defineConfig } from '@adonisjs/lucid'
import env from '#start/env'

/**
 * Where the server is that DB_CONNECTION names.
 */
const server = {
  host: env.get('DB_HOST'),
  port: env.get('DB_PORT'),
  user: env.get('DB_USER'),
  password: env.get('DB_PASSWORD'),
  database: env.get('DB_DATABASE'),
}

const migrations = { naturalSort: true, paths: ['database/migrations'] }

/**
 * SQLite makes the file, but not the folder that it is in.
 */
mkdirSync(app.tmpPath(), { recursive: true })

const databaseConfig = defineConfig({
  connection: env.get('DB_CONNECTION', 'sqlite'),

  connections: {
    sqlite: {
      client: 'better-sqlite3',
      connection: { filename: app.tmpPath(app.inTest ? 'test.sqlite3' : 'db.sqlite3') },
      useNullAsDefault: true,
      migrations,
    },

    pg: { client: 'pg', connection: server, migrations },

    mysql: { client: 'mysql2', connection: server, migrations },
  },
})

export default databaseConfig
