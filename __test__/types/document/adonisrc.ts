{
  providers: [
    // ...other providers
    () => import('@adonisjs/lock/lock_provider')
  ]
}
