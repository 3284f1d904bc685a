// Memory operands of the decoder: ModRM and SIB (SDM vol. 2, 2.1.5), absolute offsets, and the micro-op that computes
// the linear address wherever base + index * scale + displacement isn't it already.
import {
  CS,
  DS,
  FS,
  H_EA16,
  H_EA32IN64,
  H_EA64,
  H_EAMOFFS,
  H_EASEG,
  R_EA,
  R_PAGE,
  R_ZERO,
  REC_SCALE_EXT,
  REC_SIZE,
  SS,
} from '../layout';

/** Segment field of a micro-op that adds no segment base and checks nothing. */
export const NO_SEGMENT: i32 = 255;

// The operand's parts as a record holds them.
export let eaBase: i32 = 0;
export let eaIndex: i32 = 0;
export let eaScale: i32 = 0;
export let eaDisp: i32 = 0;
/** Segment: the override, or the default by base register. */
export let eaSegment: i32 = 0;
/** Set for [RIP + disp32]: the instruction's end is to be added. */
export let eaRelative: bool = false;
/** Absolute offset that doesn't fit into a displacement. */
let eaOffset: i64 = 0;
let eaFar: bool = false;
/** POP r/m: bytes by which RSP counts as raised when a micro-op uses it as the base. */
let eaRaised: i32 = 0;

/** What 16-bit addressing adds up, by ModRM.rm: base << 8 | index, R_ZERO for none (SDM vol. 2, table 2-1). */
const PAIRS16: usize = memory.data<u16>([0x1830, 0x1838, 0x2830, 0x2838, 0x3080, 0x3880, 0x2880, 0x1880]);

/**
 * Reads SIB and displacement after `modrm` (mod is not 3). `p` is the address of the byte after ModRM.
 * `address`: address size, 0 to 2 as the selector has it; `forced`: segment override, or -1. Returns the next byte's address.
 */
export function readModrm(p: i32, modrm: i32, rex: i32, address: i32, forced: i32, long: bool): i32 {
  const mod = modrm >> 6;
  let rm = modrm & 7;
  eaRelative = false;
  eaFar = false;
  eaRaised = 0;
  eaIndex = R_ZERO;
  eaScale = 0;
  eaDisp = 0;
  eaSegment = DS;
  if (address == 0) {
    const pair = <i32>load<u16>(PAIRS16 + (rm << 1));
    eaBase = pair >> 8;
    eaIndex = pair & 0xff;
    if (mod == 0 && rm == 6) {
      eaBase = R_ZERO;
      eaDisp = <i32>load<u16>(p);
      p += 2;
    } else {
      if (eaBase == 5 * 8) eaSegment = SS;
      if (mod == 1) eaDisp = <i32>load<i8>(p++);
      else if (mod == 2) {
        eaDisp = <i32>load<i16>(p);
        p += 2;
      }
    }
    if (forced >= 0) eaSegment = forced;
    return p;
  }
  let base: i32;
  if (rm == 4) {
    const sib = <i32>load<u8>(p++);
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index != 4) {
      eaIndex = index << 3;
      eaScale = sib >> 6;
    }
    rm = sib & 7;
    base = rm | ((rex & 1) << 3);
    if (rm == 5 && mod == 0) base = -1;
  } else {
    base = rm | ((rex & 1) << 3);
    if (rm == 5 && mod == 0) {
      base = -1;
      eaRelative = long;
    }
  }
  if (base < 0) {
    eaBase = eaRelative ? R_PAGE : R_ZERO;
    eaDisp = load<i32>(p);
    p += 4;
  } else {
    eaBase = base << 3;
    if (base == 4 || base == 5) eaSegment = SS;
    if (mod == 1) eaDisp = <i32>load<i8>(p++);
    else if (mod == 2) {
      eaDisp = load<i32>(p);
      p += 4;
    }
  }
  if (forced >= 0) eaSegment = forced;
  return p;
}

/** Reads an absolute offset of the address size (MOV AL/rAX, moffs). Returns the next byte's address. */
export function readOffset(p: i32, address: i32, forced: i32): i32 {
  eaBase = R_ZERO;
  eaIndex = R_ZERO;
  eaScale = 0;
  eaRelative = false;
  eaFar = false;
  eaRaised = 0;
  eaSegment = forced >= 0 ? forced : DS;
  if (address == 0) {
    eaDisp = <i32>load<u16>(p);
    return p + 2;
  }
  eaDisp = load<i32>(p);
  if (address == 1) return p + 4;
  eaOffset = load<i64>(p);
  eaFar = eaOffset != <i64>eaDisp;
  return p + 8;
}

/**
 * POP r/m addresses memory with RSP already raised (SDM vol. 2, POP). Its handler raises RSP before it computes the
 * address, so only an address that a micro-op computes beforehand has to be corrected.
 */
export function raiseStackBase(bytes: i32): void {
  eaRaised = bytes;
}

/** A record without length: the micro-op computes R_EA, from which the instruction then takes its operand. */
function microOp(out: i32, handler: i32, segment: i32, size: i32, write: i32): i32 {
  if (eaBase == 4 * 8) eaDisp += eaRaised;
  store<i32>(out, handler | (segment << 24));
  store<i32>(out, size | (eaBase << 8) | (eaIndex << 16) | (eaScale << 24), 4);
  store<i32>(out, eaDisp, 8);
  store<i32>(out, write, 12);
  eaBase = R_EA;
  eaIndex = R_ZERO;
  eaScale = 0;
  eaDisp = 0;
  return out + REC_SIZE;
}

/** The micro-op that takes a constant, from its extension record. */
function absolute(out: i32, offset: i64, segment: i32, size: i32, write: i32): i32 {
  eaScale = REC_SCALE_EXT;
  out = microOp(out, H_EAMOFFS, segment, size, write);
  store<i64>(out, offset);
  store<i64>(out, 0, 8);
  return out + REC_SIZE;
}

/** Adds the instruction's end to [RIP + disp32]; returns the address after the records that it needs. */
export function placeRelative(out: i32, next: i32): i32 {
  if (!eaRelative) return out;
  const disp = eaDisp + next;
  if (disp < eaDisp) {
    // Past 2 GiB: R_EA takes the one part and serves as an index.
    const rest = eaDisp;
    out = absolute(out, <i64>next, NO_SEGMENT, 0, 0);
    eaBase = R_PAGE;
    eaIndex = R_EA;
    eaDisp = rest;
  } else eaDisp = disp;
  return out;
}

/**
 * Completes the operand, with micro-op records at `out` where it needs them; returns the address after those.
 * `next`: offset of the next instruction in the page; `size`: bytes accessed; `addressOnly`: no segment.
 */
export function placeAddress(
  out: i32,
  next: i32,
  address: i32,
  long: bool,
  segmented: bool,
  size: i32,
  write: i32,
  addressOnly: bool,
): i32 {
  const segment = addressOnly || (long && eaSegment < FS) ? NO_SEGMENT : eaSegment;
  out = placeRelative(out, next);
  if (long) {
    if (eaFar) return absolute(out, eaOffset, segment, size, write);
    if (address == 1) return microOp(out, H_EA32IN64, segment, size, write);
    if (segment != NO_SEGMENT) return microOp(out, H_EA64, segment, size, write);
    return out;
  }
  if (address == 0) return microOp(out, H_EA16, segment, size, write);
  // Flat data segments need nothing; a code segment may be unreadable and is never writable.
  if (segment != NO_SEGMENT && (segmented || segment >= FS || segment == CS))
    return microOp(out, H_EASEG, segment, size, write);
  return out;
}
