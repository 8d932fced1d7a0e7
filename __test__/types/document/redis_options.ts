{
  redis: stores.redis({
    connectionName: 'main',
  }),
}
