/**
 * loquet: atomic locks for Node.js.
 */
export { Lock } from './lock.js'
export type { RunResult } from './run.js'
export { LockFactory } from './lock_factory.js'
export { HeldLock } from './held_lock.js'
export { Verrou } from './verrou.js'
export type { VerrouConfig } from './verrou.js'
export * as errors from './errors.js'
export { E_LOCK_NOT_OWNED, E_LOCK_STORAGE_ERROR } from './errors.js'
export type { LossReason } from './errors.js'
export { configure } from './adonis/configure.js'
export { defineConfig } from './adonis/define_config.js'
export { stores } from './adonis/stores.js'
// The types in the signatures above: a project that emits declarations has to be able to name what it infers from them.
export type * from './types/main.js'
export type * from './types/diagnostics.js'
export type {
  ConfigProvider,
  ConfigProviderApp,
  DatabaseStoreConfig,
  KnownStoresConfig,
  LockConfig,
  RedisStoreConfig,
} from './adonis/types.js'
export type { ConfigureCodemods, ConfigureCommand } from './adonis/configure.js'
export type { MemoryStoreOptions } from './drivers/memory.js'
