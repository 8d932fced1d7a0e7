import router from '@adonisjs/core/services/router'

const ManualOrderController = () => import('#controllers/manual_order_controller')
const AutomaticOrderController = () => import('#controllers/automatic_order_controller')
const BackgroundOrderController = () => import('#controllers/background_order_controller')
const QueuedOrderController = () => import('#controllers/queued_order_controller')
const ClosedOrderController = () => import('#controllers/closed_order_controller')

router.get('/', () => ({ status: 'ready' }))

router.post('/orders/manual', [ManualOrderController, 'process'])
router.post('/orders/automatic', [AutomaticOrderController, 'process'])
router.post('/orders/background', [BackgroundOrderController, 'process'])
router.post('/orders/queued', [QueuedOrderController, 'process'])
router.post('/orders/closed', [ClosedOrderController, 'process'])
