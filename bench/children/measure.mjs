/*
 * Prints one figure of one contender, or several by name, as JSON.
 *
 * Arguments: the file of the item, the name of the group, the name of the contender.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { collect } from '../harness/gc.mjs'

/** @import { Group } from '../harness/types.mjs' */

const [item, groupName, contenderName] = process.argv.slice(2)
/** @type {{ groups: Group[] }} */
const { groups } = await import(`../items/${item}.mjs`)
const group = groups.find(({ name }) => name === groupName)
const contender = group?.contenders.find(({ name }) => name === contenderName)
if (!group || !contender) {
  throw new Error(`There is no ${contenderName} in ${groupName} of ${item}`)
}

const measure = await contender.open({ node: process.execPath })
for (let turn = 0; turn < (group.warmUps ?? 1); turn++) {
  await measure()
}
collect()
// Pages are swept in the background after a collection: that isn't the contender's work
await sleep(10)
console.log(JSON.stringify(await measure()))
process.exit()
