import { registerContract } from './contract.js'

await registerContract({ topology: 'Postgres' })
await registerContract({ topology: 'Postgres, unix socket' })
