export type { PackedDriver } from './packed.js';
export { type RigOptions, type StartOptions, VirtioRig } from './rig.js';
export type { DriverBuffer, DriverRing } from './ring.js';
export type { SplitDriver } from './split.js';
