{
  database: stores.database({
    connectionName: 'postgres',
    tableName: 'my_locks',
  }),
}
