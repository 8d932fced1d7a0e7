/**
 * What the tests use of `ioredis-mock`, which has no declarations of its own.
 */
declare module 'ioredis-mock' {
  import { Redis } from 'ioredis'

  export default class RedisMock extends Redis {}
}
