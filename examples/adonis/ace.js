/**
 * The entry point of `node ace`. `#typescript` is what runs TypeScript sources directly: see "imports" in package.json.
 */
import '#typescript'

await import('./bin/console.js')
