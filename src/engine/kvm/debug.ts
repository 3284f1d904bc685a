/** Guest debugging: what a debugger wants as KVM_SET_GUEST_DEBUG takes it, and what an exit says of it. */
import type { Exit, GuestDebug } from '../contract.js';
import * as A from './abi.js';
import type { RunPage } from './run-page.js';

/** The processor's debug registers. */
const MOST_POINTS = 4;
/** DR7 (SDM vol. 3, 18.2.4): L0 to L3 and LE; R/W and LEN from bit 16, four bits each. */
const DR7_LOCAL_EXACT = 0x100;
const DR7_FIXED = 0x400;
const READ_WRITE = { execute: 0, write: 1, access: 3 } as const;
const LENGTH = { 1: 0, 2: 1, 4: 3, 8: 2 } as const;
const DEBUG_DR7 = 7;
const DR6_STEP = 1 << 14;

/** struct kvm_guest_debug. @throws RangeError for more than four points, or a length that can't be */
export function encodeDebug({ step, points }: GuestDebug): DataView {
  const view = new DataView(new ArrayBuffer(A.SIZE.guestDebug));
  if (points.length > MOST_POINTS)
    throw new RangeError(`${points.length} breakpoints; the processor has ${MOST_POINTS}.`);
  let control = 0;
  if (step) control |= A.KVM_GUESTDBG_SINGLESTEP;
  if (points.length > 0) control |= A.KVM_GUESTDBG_USE_HW_BP;
  view.setUint32(0, control === 0 ? 0 : control | A.KVM_GUESTDBG_ENABLE, true);
  let dr7 = DR7_FIXED | DR7_LOCAL_EXACT;
  points.forEach(({ kind, address, length }, i) => {
    if (kind === 'execute' && length !== 1) throw new RangeError('A breakpoint is one byte long.');
    if (address % BigInt(length) !== 0n) throw new RangeError('A watchpoint lies at a multiple of its length.');
    dr7 |= 1 << (i * 2);
    dr7 |= (READ_WRITE[kind] | (LENGTH[length] << 2)) << (16 + i * 4);
    view.setBigUint64(8 + i * 8, BigInt.asUintN(64, address), true);
  });
  view.setBigUint64(8 + DEBUG_DR7 * 8, BigInt(dr7 >>> 0), true);
  return view;
}

/** KVM_EXIT_DEBUG. */
export function debugExit(page: RunPage, { points }: GuestDebug): Exit {
  const dr6 = page.word(A.RUN_DEBUG_DR6);
  const hit = points.find((_, i) => dr6 & (1 << i));
  if (hit === undefined) return { kind: 'debug', reason: dr6 & DR6_STEP ? 'step' : 'breakpoint' };
  return { kind: 'debug', reason: hit.kind === 'execute' ? 'breakpoint' : 'watchpoint' };
}

export const NO_DEBUG: GuestDebug = { step: false, points: [] };
