// A member of a fleet as a thread: threads don't take what `--import` names for TypeScript from their flags.
import { register } from 'tsx/esm/api'

register()
await import('./member.ts')
