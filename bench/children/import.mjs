/*
 * Imports what its arguments name, one after another, and ends.
 */
for (const name of process.argv.slice(2)) {
  await import(name)
}
