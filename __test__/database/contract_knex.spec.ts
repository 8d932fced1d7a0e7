import { registerOwnClient } from './contract_own_client.js'

await registerOwnClient('KnexAdapter', 'Postgres', true)
await registerOwnClient('KnexAdapter', 'MariaDB')
await registerOwnClient('KnexAdapter', 'SQLite, WAL')
