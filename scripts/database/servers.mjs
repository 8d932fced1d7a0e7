// Private database servers for tests: see servers.d.mts for what there is.
export { makeCertificates } from '../servers/certificates.mjs'
export { startMariadb } from './mariadb.mjs'
export { startPgbouncer } from './pgbouncer.mjs'
export { startPostgres } from './postgres.mjs'
