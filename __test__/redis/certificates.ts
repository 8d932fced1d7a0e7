/**
 * A throw-away certificate authority and what it has signed.
 */
export { makeCertificates } from '../../scripts/redis/servers.mjs'
export type { Certificate, Certificates } from '../../scripts/redis/servers.mjs'
