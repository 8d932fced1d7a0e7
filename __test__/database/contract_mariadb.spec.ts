import { registerContract } from './contract.js'

await registerContract({ topology: 'MariaDB' })
await registerContract({ topology: 'MariaDB, unix socket' })
