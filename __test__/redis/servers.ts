/**
 * Private Redis servers. They are made by plain scripts, so that the Rust tests can have them too.
 */
export * from '../../scripts/redis/servers.mjs'
