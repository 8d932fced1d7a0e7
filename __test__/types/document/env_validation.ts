{
  LOCK_STORE: Env.schema.enum(['redis', 'database', 'memory'] as const),
}
