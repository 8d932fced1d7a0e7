/**
 * Private database servers. They are made by plain scripts, so that the Rust tests can have them too.
 */
export * from '../../scripts/database/servers.mjs'
