{
  memory: stores.memory(),
}
