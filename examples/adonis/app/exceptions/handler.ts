import app from '@adonisjs/core/services/app'
import { ExceptionHandler } from '@adonisjs/core/http'

/**
 * Turns errors into responses; with stack traces unless in production.
 */
export default class HttpExceptionHandler extends ExceptionHandler {
  protected debug = !app.inProduction
}
