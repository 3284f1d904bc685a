/** A sink of exits behind which nobody is: reads give 0, writes are lost, no MSR and no interrupt is there. */
import type { ExitSink } from './contract.js';

const nothing = () => {};
const zero = () => 0;

export const QUIET_SINK: ExitSink = {
  portIn: zero,
  portOut: nothing,
  mmioRead: zero,
  mmioWrite: nothing,
  readMsr: () => undefined,
  writeMsr: () => false,
  acknowledgeInterrupt: () => -1,
  readCr8: zero,
  writeCr8: nothing,
  readTsc: zero,
  entropy: zero,
};
