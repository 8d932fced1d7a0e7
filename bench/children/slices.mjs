/*
 * Measures one contender each time it is told to.
 *
 * Arguments: the file of the item, the name of the group, the name of the contender.
 */
import { collect } from '../harness/gc.mjs'

/** @import { Group } from '../harness/types.mjs' */

const [item, groupName, contenderName] = process.argv.slice(2)
/** @type {{ groups: Group[] }} */
const { groups } = await import(`../items/${item}.mjs`)
const contender = groups
  .find(({ name }) => name === groupName)
  ?.contenders.find(({ name }) => name === contenderName)
if (!contender) {
  throw new Error(`There is no ${contenderName} in ${groupName} of ${item}`)
}

const measure = await contender.open({ node: process.execPath })
await measure()
collect()
process.on('message', async () => process.send?.(await measure()))
process.on('disconnect', () => process.exit())
process.send?.('ready')
