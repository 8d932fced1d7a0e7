/**
 * SQL as the clients of an app take it: names and values stay apart from the text, and each client writes them its own way.
 */

/** The name of a table or column, behind whatever it is in; as it is, not quoted. */
export class Name {
  constructor(readonly parts: readonly string[]) {}
}

/** Between two texts there is a hole: a name, or else a value. */
export class Sql {
  constructor(
    readonly texts: readonly string[],
    readonly holes: readonly unknown[]
  ) {}
}

/** A statement or a part of one, in one line. What is itself SQL becomes a part of it. */
export function sql(template: TemplateStringsArray, ...holes: unknown[]): Sql {
  const texts = template.map((text) => text.replaceAll(/\n\s*/g, ' '))
  const joined = [texts[0]]
  const kept: unknown[] = []
  for (const [at, hole] of holes.entries()) {
    const next = texts[at + 1]
    if (hole instanceof Sql) {
      const [first, ...others] = hole.texts
      joined[joined.length - 1] += first
      joined.push(...others)
      joined[joined.length - 1] += next
      kept.push(...hole.holes)
    } else {
      joined.push(next)
      kept.push(hole)
    }
  }
  return new Sql(joined, kept)
}

/** Text that is written as it is. */
export function raw(text: string): Sql {
  return new Sql([text], [])
}
