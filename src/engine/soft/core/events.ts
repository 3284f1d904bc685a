// What happens between instructions: traps, interrupts, the end of a slice. The interpreter asks at a block border whenever
// COUNT doesn't cover the block, and `attention` makes it so.
import {
  ACT_HALTED,
  ACT_RUNNING,
  ACTIVITY,
  COUNT,
  COUNT_DEFERRED,
  CS,
  DEBUG_STEP,
  EFLAGS,
  EXIT_BUDGET,
  EXIT_DEBUG,
  EXIT_HLT,
  EXIT_KICK,
  EXIT_REASON,
  INT_SHADOW,
  JUMP,
  LEAVE,
  MODE,
  MODE_64,
  MODE_TF,
  NEXT,
  PEND_DB,
  PEND_INTR,
  PEND_KICK,
  PEND_NMI,
  PEND_NMI_MASKED,
  PENDING,
  RIP,
  SHADOW_RIP,
} from '../layout';
import { DR6_BS, execBreakpoints, recordDebug } from './debug';
import { ack } from './env';
import { deliver, deliverHere, deliverInterrupt, K_EXCEPTION } from './interrupts';
import { updateMode } from './mode';
import { BP_EXEC, DB_BITS, STEP, STEP_FORCED, STEP_NONE, STEP_RF, STEP_TRAP } from './private';
import { F_IF, F_RF, F_TF, leave, segBase, V_DB, V_NMI } from './state';

/** Most instructions in a block (the decoder's limit): what a slice may overrun. */
const LONGEST_BLOCK = 64;

/** Starts a slice of about `budget` instructions. JUMP: go; LEAVE: still halted, EXIT_REASON is set. */
export function enter(budget: i32): i32 {
  store<i32>(COUNT, 0);
  store<i32>(COUNT_DEFERRED, budget);
  store<i32>(EXIT_REASON, 0);
  if (load<i32>(ACTIVITY) != ACT_RUNNING) {
    if (load<i32>(ACTIVITY) != ACT_HALTED || !wakes()) return leave(EXIT_HLT, 0);
    store<i32>(ACTIVITY, ACT_RUNNING);
  }
  return JUMP;
}

/** Whether something waits that ends HLT. */
export function wakes(): bool {
  const pending = load<i32>(PENDING);
  if (pending & PEND_DB) return true;
  if ((pending & (PEND_NMI | PEND_NMI_MASKED)) == PEND_NMI) return true;
  return (pending & PEND_INTR) != 0 && (load<i32>(EFLAGS) & F_IF) != 0;
}

/** The instruction after this one (STI, MOV SS) is not to be interrupted. RIP is already there. */
export function shadowNext(): void {
  store<i32>(INT_SHADOW, 1);
  store<i64>(SHADOW_RIP, load<i64>(RIP));
}

/** After a load of SS debug traps wait as well (SDM vol. 3, 6.8.3). */
const SHADOW_SS = 2;

export function shadowNextSs(): void {
  shadowNext();
  store<i32>(INT_SHADOW, SHADOW_SS);
}

/** RIP is the next instruction. JUMP: go on at RIP; LEAVE. */
export function events(): i32 {
  // While we are here everything is in COUNT_DEFERRED, so nobody's `attention` makes a difference.
  store<i32>(COUNT_DEFERRED, load<i32>(COUNT_DEFERRED) + load<i32>(COUNT));
  store<i32>(COUNT, 0);
  const step = load<i32>(STEP);
  if (step) {
    store<i32>(STEP, STEP_NONE);
    store<i32>(EFLAGS, load<i32>(EFLAGS) & ~load<i32>(STEP_RF));
    if (step == STEP_TRAP) {
      store<i32>(DB_BITS, load<i32>(DB_BITS) | DR6_BS);
      store<i32>(PENDING, load<i32>(PENDING) | PEND_DB);
    } else updateMode();
    if (load<i32>(DEBUG_STEP)) {
      store<i32>(DEBUG_STEP, 0);
      updateMode();
      return leave(EXIT_DEBUG, 0);
    }
  }
  if (load<i32>(PENDING) & PEND_KICK) {
    store<i32>(PENDING, load<i32>(PENDING) & ~PEND_KICK);
    return leave(EXIT_KICK, 0);
  }
  if (load<i32>(COUNT_DEFERRED) <= 0) return leave(EXIT_BUDGET, 0);

  const shadow = load<i32>(INT_SHADOW) != 0 && load<i64>(SHADOW_RIP) == load<i64>(RIP);
  const held = shadow && load<i32>(INT_SHADOW) == SHADOW_SS;
  store<i32>(INT_SHADOW, 0);
  if (load<i32>(PENDING) & PEND_DB && !held) {
    const bits = load<i32>(DB_BITS);
    store<i32>(PENDING, load<i32>(PENDING) & ~PEND_DB);
    store<i32>(DB_BITS, 0);
    recordDebug(bits);
    if (deliver(V_DB, K_EXCEPTION, 0) != NEXT && deliverHere() == LEAVE) return LEAVE;
  }
  const pending = load<i32>(PENDING);
  if (!shadow) {
    if ((pending & (PEND_NMI | PEND_NMI_MASKED)) == PEND_NMI) {
      store<i32>(PENDING, (pending & ~PEND_NMI) | PEND_NMI_MASKED);
      if (deliverInterrupt(V_NMI) == LEAVE) return LEAVE;
    } else if (pending & PEND_INTR && load<i32>(EFLAGS) & F_IF) {
      const vector = ack();
      if (vector >= 0 && deliverInterrupt(vector) == LEAVE) return LEAVE;
    }
  }
  if (load<i32>(BP_EXEC) && !held) {
    const base = load<i32>(MODE) & MODE_64 ? 0 : segBase(CS);
    const hits = execBreakpoints(load<i64>(RIP) + base);
    if (hits) {
      recordDebug(hits);
      if (deliver(V_DB, K_EXCEPTION, 0) != NEXT && deliverHere() == LEAVE) return LEAVE;
    }
  }
  return resume(shadow);
}

/** Gives COUNT out again: all that is left, or one instruction where something waits for its end. */
function resume(shadow: bool): i32 {
  store<i32>(STEP_RF, load<i32>(EFLAGS) & F_RF);
  const left = load<i32>(COUNT_DEFERRED) + load<i32>(COUNT);
  let granted = left;
  if (shadow && load<i32>(PENDING) & (PEND_INTR | PEND_NMI | PEND_DB) && !(load<i32>(MODE) & MODE_TF)) {
    store<i32>(STEP, STEP_FORCED);
    updateMode();
    granted = 1;
  } else if (load<i32>(MODE) & MODE_TF) {
    store<i32>(STEP, load<i32>(EFLAGS) & F_TF ? STEP_TRAP : STEP_FORCED);
    granted = 1;
  } else if (left < LONGEST_BLOCK) granted = LONGEST_BLOCK;
  store<i32>(COUNT, granted);
  store<i32>(COUNT_DEFERRED, left - granted);
  return JUMP;
}
