import locks from '@adonisjs/lock/services/main'

const lock = locks.createLock('order.processing.1')
