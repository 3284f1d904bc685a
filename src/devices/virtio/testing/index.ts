export { type FuzzSubject, survives } from './fuzz.js';
export { type RigOptions, type StartOptions, VirtioRig } from './rig.js';
export type { DriverBuffer, DriverRing } from './ring.js';
