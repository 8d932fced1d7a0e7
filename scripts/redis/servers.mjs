// Private Redis servers for tests: see servers.d.mts for what there is.
export { makeCertificates } from '../servers/certificates.mjs'
export { startCluster } from './cluster.mjs'
export { startSentinels } from './sentinels.mjs'
export { startStandalone } from './server.mjs'
export { startTls } from './tls.mjs'
