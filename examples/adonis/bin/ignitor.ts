import { Ignitor } from '@adonisjs/core'

/**
 * The directory of the application: all relative paths start here.
 */
const APP_ROOT = new URL('../', import.meta.url)

/**
 * Imports a file of the application or a package. Relative paths are relative to the root of the application.
 */
const IMPORTER = (filePath: string) => {
  if (filePath.startsWith('./') || filePath.startsWith('../')) {
    return import(new URL(filePath, APP_ROOT).href)
  }
  return import(filePath)
}

/**
 * Makes the ignitor that the server, the console and the tests start from.
 */
export function createIgnitor() {
  return new Ignitor(APP_ROOT, { importer: IMPORTER }).tap((app) => {
    app.booting(async () => {
      await import('#start/env')
    })
  })
}
