/**
 * How the files of this folder say what they expect. None of them is ever run: the compiler reads them, with `npm run
 * typecheck` and in `assertions.spec.ts`.
 */

/** `true` if the types are the same: `any`, `readonly` and `?` are told apart, being assignable isn't enough. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Refuses what isn't `true`. */
export declare function check<Assertion extends true>(assertion?: Assertion): void

/** A value of any type, for calls whose arguments don't matter. */
export declare function some<T>(): T
