import { registerContract } from './contract.js'

await registerContract({ topology: 'PgBouncer' })
await registerContract({ topology: 'PgBouncer that nobody told of' })
