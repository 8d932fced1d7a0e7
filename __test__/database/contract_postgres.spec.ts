import { registerContract } from './contract.js'

await registerContract({ topology: 'Postgres', isThorough: true })
await registerContract({ topology: 'Postgres, unix socket' })
