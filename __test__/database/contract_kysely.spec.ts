import { registerOwnClient } from './contract_own_client.js'

await registerOwnClient('KyselyAdapter', 'Postgres')
await registerOwnClient('KyselyAdapter', 'MariaDB')
await registerOwnClient('KyselyAdapter', 'SQLite, WAL', true)
