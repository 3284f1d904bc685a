// Segment registers: loading them, and checked accesses through them.
import {
  CS,
  FAULT,
  FS,
  GS,
  MODE,
  MODE_64,
  MODE_PE,
  MODE_SS32,
  MODE_VM,
  NEXT,
  SEG_ATTR,
  SEG_BASE,
  SEG_LIMIT,
  SEG_PLAIN,
  SEG_PLAIN_MASK,
  SS,
} from '../layout';
import {
  checkStack,
  dLoadableAsData,
  dMarkAccessed,
  dPresent,
  isNull,
  loadFromDescriptor,
  needDescriptor,
  notPresent,
} from './descriptors';
import { currentSet, loadIn, storeIn } from './mmu';
import {
  A_CODE,
  A_DB,
  A_DOWN,
  A_P,
  A_UNUSABLE,
  A_WRITABLE,
  cpl,
  faulted,
  isCanonical,
  raise,
  reg,
  segAttr,
  segBase,
  segLimit,
  segment,
  setReg,
  setSegment,
  V_GP,
  V_SS,
} from './state';

export const RSP = 4;

/** Loads a segment register other than CS with all checks. 0, or FAULT. The caller updates MODE. */
export function loadSegment(seg: i32, selector: i32): i32 {
  const mode = load<i32>(MODE);
  selector &= 0xffff;
  if ((mode & MODE_PE) == 0) {
    // Real mode keeps the limit (so "unreal mode" works); v8086 has what entering it set.
    const attr = mode & MODE_VM ? 0xf3 : (segAttr(seg) & A_DB) | 0x93;
    setSegment(seg, selector, <i64>(selector << 4), mode & MODE_VM ? 0xffff : segLimit(seg), attr);
    return NEXT;
  }
  const level = cpl();
  if (seg == SS) {
    if (isNull(selector) && mode & MODE_64 && level < 3 && (selector & 3) == level) {
      setSegment(SS, selector, 0, 0, A_UNUSABLE | (level << 5));
      return NEXT;
    }
    if (!checkStack(selector, level, V_GP, 0)) return FAULT;
  } else {
    if (isNull(selector)) {
      setSegment(seg, selector, 0, 0, A_UNUSABLE);
      return NEXT;
    }
    if (!needDescriptor(selector, 8, V_GP, 0)) return FAULT;
    if (!dLoadableAsData(selector)) return raise(V_GP, selector & 0xfffc);
    if (!dPresent()) return notPresent(selector, 0);
  }
  dMarkAccessed();
  if (faulted()) return FAULT;
  loadFromDescriptor(seg, selector);
  return NEXT;
}

/** After a return to an outer ring: data segments that the new CPL may not use become null (SDM vol. 2, RET). */
export function dropPrivilegedSegments(): void {
  for (let seg = 0; seg <= GS; seg++) {
    if (seg == CS || seg == SS) continue;
    const attr = segAttr(seg);
    if (attr & A_UNUSABLE) continue;
    if ((attr & (A_CODE | A_DOWN)) == (A_CODE | A_DOWN)) continue;
    if (((attr >> 5) & 3) < cpl()) setSegment(seg, 0, 0, 0, A_UNUSABLE);
  }
}

/**
 * Linear address of [offset, offset + size) in a segment, checked for limit and rights (#SS(0) for SS, #GP(0) else).
 * In 64-bit mode only FS and GS have a base and nothing is checked here. On a fault: 0 with the fault raised.
 */
export function eaSeg(seg: i32, offset: i64, size: i32, write: i32): i64 {
  const mode = load<i32>(MODE);
  if (mode & MODE_64) return seg == FS || seg == GS ? segBase(seg) + offset : offset;
  const s = segment(seg);
  const attr = load<i32>(s, SEG_ATTR);
  const last = offset + <i64>(size > 0 ? size - 1 : 0);
  const limit = <i64>load<u32>(s, SEG_LIMIT);
  if ((attr & SEG_PLAIN_MASK) == SEG_PLAIN && last <= limit) return (load<i64>(s, SEG_BASE) + offset) & 0xffffffff;
  let good: bool;
  if (mode & MODE_PE) {
    good = (attr & (A_UNUSABLE | A_P)) == A_P;
    if (attr & A_CODE) good = good && !write && (attr & A_WRITABLE) != 0;
    else good = good && (!write || (attr & A_WRITABLE) != 0);
  } else good = true;
  if ((attr & (A_CODE | A_DOWN)) == A_DOWN) {
    good = good && offset > limit && last <= (attr & A_DB ? 0xffffffff : 0xffff);
  } else good = good && last <= limit;
  if (!good) {
    raise(seg == SS ? V_SS : V_GP, 0);
    return 0;
  }
  return (load<i64>(s, SEG_BASE) + offset) & 0xffffffff;
}

// ---- the stack that is in use ------------------------------------------------------------------------------------------
/** Which bits of RSP count. */
export function stackMask(): i64 {
  const mode = load<i32>(MODE);
  if (mode & MODE_64) return -1;
  return mode & MODE_SS32 ? 0xffffffff : 0xffff;
}

/** RSP with the bits that count replaced. */
export function setSp(value: i64): void {
  const mask = stackMask();
  if (mask == 0xffff) setReg(RSP, (reg(RSP) & ~mask) | (value & mask));
  else setReg(RSP, value & mask);
}

/** Linear address of a stack slot; on a fault (#SS) 0 with the fault raised. */
function stackAddress(sp: i64, size: i32, write: i32): i64 {
  if (load<i32>(MODE) & MODE_64) {
    if (isCanonical(sp)) return sp;
    raise(V_SS, 0);
    return 0;
  }
  return eaSeg(SS, sp, size, write);
}

/** Value at `offset` from the top of the stack; look at `faulted()`. */
export function stackLoad(offset: i32, size: i32): i64 {
  const lin = stackAddress((reg(RSP) + <i64>offset) & stackMask(), size, 0);
  return faulted() ? 0 : loadIn(currentSet(), lin, size);
}

/** Pushes; RSP changes only if the write succeeds. 0, or FAULT. */
export function push(value: i64, size: i32): i32 {
  const sp = (reg(RSP) - <i64>size) & stackMask();
  const lin = stackAddress(sp, size, 1);
  if (faulted()) return FAULT;
  storeIn(currentSet(), lin, value, size);
  if (faulted()) return FAULT;
  setSp(sp);
  return NEXT;
}

export function drop(bytes: i32): void {
  setSp(reg(RSP) + <i64>bytes);
}

/** Pops; look at `faulted()`. */
export function pop(size: i32): i64 {
  const v = stackLoad(0, size);
  if (!faulted()) drop(size);
  return v;
}

// Names that the emitter uses for stacks that are 16 bits wide or not flat.
export function pushSlow(value: i64, size: i32): i32 {
  return push(value, size);
}

export function topSlow(size: i32, offset: i32): i64 {
  return stackLoad(offset, size);
}

export function dropSlow(bytes: i32): void {
  drop(bytes);
}

// ---- a stack that isn't in use yet: interrupts, call gates, task switches ---------------------------------------------
/** SS to be: selector, base, limit, attributes, the mask of its pointer, the TLB set of the privilege that it is for. */
export let nsBase: i64 = 0;
export let nsLimit: u32 = 0;
export let nsAttr: i32 = 0;
export let nsMask: i64 = 0;
export let nsSet: u32 = 0;
/** Its stack pointer, moved by `nsPush`. */
export let nsSp: i64 = 0;

/** In long mode (`long`) base and limit don't count. */
export function beginStack(base: i64, limit: u32, attr: i32, long: bool, set: u32, sp: i64): void {
  nsBase = long ? 0 : base;
  nsLimit = limit;
  nsAttr = attr;
  nsMask = long ? -1 : attr & A_DB ? 0xffffffff : 0xffff;
  nsSet = set;
  nsSp = long ? sp : sp & nsMask;
}

/** The stack in use, as one to come. */
export function beginCurrentStack(set: u32): void {
  beginStack(segBase(SS), segLimit(SS), segAttr(SS), (load<i32>(MODE) & MODE_64) != 0, set, reg(RSP) & stackMask());
}

/** Error code of a #SS while pushing on it: the selector (or 0) with EXT. */
export let nsError: i32 = 0;

export function setStackError(error: i32): void {
  nsError = error;
}

/** Pushes on the stack to be. 0, or FAULT. */
export function nsPush(value: i64, size: i32): i32 {
  const sp = nsMask == -1 ? nsSp - <i64>size : (nsSp - <i64>size) & nsMask;
  let lin = sp;
  if (nsMask == -1) {
    if (!isCanonical(sp)) return raise(V_SS, nsError);
  } else {
    const last = sp + <i64>(size - 1);
    const down = (nsAttr & (A_CODE | A_DOWN)) == A_DOWN;
    const good = down ? sp > <i64>nsLimit && last <= nsMask : last <= <i64>nsLimit;
    if (!good) return raise(V_SS, nsError);
    lin = (nsBase + sp) & 0xffffffff;
  }
  storeIn(nsSet, lin, value, size);
  if (faulted()) return FAULT;
  nsSp = sp;
  return NEXT;
}

/** RSP after the new stack has become the current one (SS is loaded, MODE updated). */
export function commitSp(): void {
  setSp(nsSp);
}
