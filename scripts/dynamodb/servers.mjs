// Private DynamoDB servers for tests: see servers.d.mts for what there is.
export { startServer as startDynamoDb } from './server.mjs'
