import { registerContract } from './contract.js'

await registerContract({ topology: 'cluster', isThorough: true })
