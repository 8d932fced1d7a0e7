import { registerContract } from './contract.js'

await registerContract({ topology: 'MariaDB', isThorough: true })
await registerContract({ topology: 'MariaDB, unix socket' })
