import { registerContract } from './contract.js'

await registerContract({ topology: 'Postgres, TLS' })
await registerContract({ topology: 'MariaDB, TLS' })
