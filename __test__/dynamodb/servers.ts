/**
 * Private DynamoDB servers. They are made by plain scripts, like all others.
 */
export * from '../../scripts/dynamodb/servers.mjs'
