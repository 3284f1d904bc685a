// One instruction: prefixes, opcode, the walk through the decode tables (../tables), operands, and its records.
// Instruction format: SDM vol. 2, chapter 2.
import {
  DS,
  FS,
  H_UD,
  MODE,
  MODE_64,
  MODE_D,
  MODE_PE,
  MODE_SEGMENTED,
  MODE_SS32,
  REC_SCALE_EXT,
  REC_SIZE,
  TABLES,
} from '../layout';
import {
  C_CR,
  C_DR,
  C_GPR8,
  C_MMX,
  C_SEG,
  C_SEGW,
  C_ST,
  C_XMM,
  IMM_32,
  IMM_64,
  IMM_ENTER,
  IMM_FAR16,
  IMM_FAR32,
  IMM_S8,
  IMM_S16,
  IMM_U8,
  IMM_U16,
  L_A,
  L_B,
  L_C,
  L_D,
  L_FLAGS,
  L_HANDLER,
  L_IMM,
  L_POP,
  L_SCALE,
  L_SIZE,
  LF_ADDRESS,
  LF_ENDS,
  LF_IMM64,
  LF_LOCK,
  LF_MEM,
  LF_MOFFS,
  LF_PARTS,
  LF_REP,
  LF_VSIB,
  LF_VVVV,
  LF_WRITE,
  MAP_VEX,
  P_IMM,
  P_OPCODE,
  P_REG,
  P_RM,
  S_ADDR,
  S_L,
  S_LONG,
  S_MOD3,
  S_PREFIX,
  S_PROTECTED,
  S_REG,
  S_REXB,
  S_RM,
  S_SIZE,
  S_SLOW,
  S_W,
  T_ADDRESS,
  T_LEAF,
  T_MODRM,
} from '../tables';
import {
  eaBase,
  eaDisp,
  eaIndex,
  eaScale,
  eaSegment,
  placeAddress,
  placeRelative,
  raiseStackBase,
  readModrm,
  readOffset,
} from './decode-address';

/** Instructions of more bytes raise #GP (SDM vol. 2, 2.3.11). */
export const LONGEST: i32 = 15;
/** Most bytes that decoding one instruction looks at: prefixes, opcode, ModRM, SIB, displacement, immediate. */
export const LOOKAHEAD: i32 = 40;

// Classes of prefix bytes.
const X_SEG: i32 = 1; // 1 to 6: ES to GS
const X_66: i32 = 7;
const X_67: i32 = 8;
const X_LOCK: i32 = 9;
const X_F2: i32 = 10;
const X_F3: i32 = 11;
const X_REX: i32 = 12;
const X_IGNORED: i32 = 13; // ES CS SS DS in 64-bit mode
/** Class of each byte, 0: no prefix; outside 64-bit mode, and in it. */
const CLASSES: usize = memory.data(512);
let classesReady: bool = false;

function prepareClasses(): void {
  for (let long = 0; long < 2; long++) {
    const t = CLASSES + (long << 8);
    const plain = long ? X_IGNORED : 0;
    store<u8>(t + 0x26, plain ? plain : X_SEG);
    store<u8>(t + 0x2e, plain ? plain : X_SEG + 1);
    store<u8>(t + 0x36, plain ? plain : X_SEG + 2);
    store<u8>(t + 0x3e, plain ? plain : X_SEG + 3);
    store<u8>(t + 0x64, X_SEG + FS);
    store<u8>(t + 0x65, X_SEG + 5);
    store<u8>(t + 0x66, X_66);
    store<u8>(t + 0x67, X_67);
    store<u8>(t + 0xf0, X_LOCK);
    store<u8>(t + 0xf2, X_F2);
    store<u8>(t + 0xf3, X_F3);
    for (let b = 0x40; long && b < 0x50; b++) store<u8>(t + b, X_REX);
  }
  classesReady = true;
}

// What the mode says, set by `prepareMode`.
let long: bool = false;
let segmented: bool = false;
let protectedMode: bool = false;
let sizeDefault: i32 = 0; // 0: 16 bits, 1: 32 bits
let modeSelector: i32 = 0;
let classes: usize = 0;

/** Takes MODE over. To be called before a run of `decodeInstruction`. */
export function prepareMode(): i32 {
  if (!classesReady) prepareClasses();
  const mode = load<i32>(MODE);
  long = (mode & MODE_64) != 0;
  segmented = (mode & MODE_SEGMENTED) != 0;
  protectedMode = (mode & MODE_PE) != 0;
  sizeDefault = long || mode & MODE_D ? 1 : 0;
  const slow = !long && (!(mode & MODE_SS32) || segmented);
  modeSelector = (long ? 1 << S_LONG : 0) | (protectedMode ? 1 << S_PROTECTED : 0) | (slow ? 1 << S_SLOW : 0);
  classes = CLASSES + (long ? 256 : 0);
  return mode;
}

/** Where the next record goes; after `decodeInstruction`: past the instruction's records. */
export let out: i32 = 0;
/** Whether the decoded instruction ends the block. */
export let ended: bool = false;

export function setOut(address: i32): void {
  out = address;
}

/** Writes the extension record of a block's last instruction; `next`: offset of the following instruction in the page. */
export function emitEnd(next: i32): void {
  store<i64>(out, <i64>(<u32>next));
  store<i64>(out, 0, 8);
  out += REC_SIZE;
}

/**
 * Writes a record that ends the block by raising an exception, and returns `length`. The extension record is there
 * because every block ends in one. `next`: as for `emitEnd`.
 */
export function emitFault(handler: i32, length: i32, next: i32): i32 {
  store<i32>(out, handler | (length << 16));
  store<i32>(out, 0, 4);
  store<i64>(out, 0, 8);
  out += REC_SIZE;
  emitEnd(next);
  ended = true;
  return length;
}

/** Byte offset (or number) that a register plan comes to; -1: #UD. */
function field(plan: i32, modrm: i32, opcode: i32, rex: i32, hasRex: bool, vvvv: i32, imm: i32): i32 {
  let reg: i32;
  switch (plan & 15) {
    case P_REG:
      reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      break;
    case P_RM:
      reg = (modrm & 7) | ((rex & 1) << 3);
      break;
    case P_OPCODE:
      reg = (opcode & 7) | ((rex & 1) << 3);
      break;
    case P_IMM:
      reg = (imm >> 4) & (long ? 15 : 7);
      break;
    default:
      reg = vvvv;
  }
  switch (plan & 0xf0) {
    case 0:
      return reg << 3;
    case C_GPR8:
      return hasRex || reg < 4 ? reg << 3 : ((reg - 4) << 3) + 1;
    case C_XMM:
      return reg << 4;
    case C_MMX:
      return (reg & 7) << 4;
    case C_ST:
      return reg & 7;
    case C_SEGW:
      if ((reg & 7) == 1) return -1; // MOV CS
    case C_SEG:
      reg &= 7;
      return reg > 5 ? -1 : reg;
    case C_CR:
      return reg <= 4 ? (reg == 1 ? -1 : reg) : reg == 8 ? 8 : -1;
    case C_DR:
      return reg > 7 ? -1 : reg;
  }
  return -1;
}

/**
 * Decodes the instruction at `start` and writes its records at `out`, extension records included. `offset`: of the
 * instruction in its page. Returns its length, which may exceed LONGEST and may run past the bytes that are there.
 */
export function decodeInstruction(start: i32, offset: i32): i32 {
  let p = start;
  let rex = 0;
  let hasRex = false;
  let p66 = 0;
  let p67 = 0;
  let lock = false;
  let rep = 0; // 1 = F3, 2 = F2; the last one counts
  let forced = -1;
  ended = false;
  let opcode = <i32>load<u8>(p++);
  for (let c = <i32>load<u8>(classes + opcode); c; c = <i32>load<u8>(classes + opcode)) {
    if (p - start >= LONGEST) return LONGEST + 1;
    if (c == X_REX) {
      rex = opcode;
      hasRex = true;
    } else {
      rex = 0; // only directly before the opcode
      hasRex = false;
      if (c <= X_SEG + 5) forced = c - X_SEG;
      else if (c == X_66) p66 = 1;
      else if (c == X_67) p67 = 1;
      else if (c == X_LOCK) lock = true;
      else if (c == X_F2) rep = 2;
      else if (c == X_F3) rep = 1;
    }
    opcode = <i32>load<u8>(p++);
  }

  let map = 0;
  let vvvv = 0;
  let vvvvRaw = 15;
  let vexL = 0;
  let w = (rex >> 3) & 1;
  let prefix = rep ? rep + 1 : p66;
  let vex = false;
  if (opcode == 0x0f) {
    opcode = <i32>load<u8>(p++);
    map = 1;
    if ((opcode & 0xfd) == 0x38) {
      map = opcode == 0x38 ? 2 : 3;
      opcode = <i32>load<u8>(p++);
    }
  } else if ((opcode & 0xfe) == 0xc4) {
    const b1 = <i32>load<u8>(p);
    if (long || (b1 & 0xc0) == 0xc0) {
      vex = true;
      if (!protectedMode || hasRex || p66 || rep || lock) return emitFault(H_UD, p - start, offset + p - start);
      let last = b1;
      p++;
      if (opcode == 0xc5) {
        map = 1;
        rex = ((b1 >> 5) & 4) ^ 4;
      } else {
        map = b1 & 31;
        last = <i32>load<u8>(p++);
        w = last >> 7;
        rex = (b1 >> 5) ^ 7;
        if (map == 0 || map > 3) return emitFault(H_UD, p - start, offset + p - start);
      }
      if (!long) rex = 0;
      map += MAP_VEX;
      prefix = last & 3;
      // pp: 1 = 66, 2 = F3, 3 = F2: the selector's own numbers.
      vexL = (last >> 2) & 1;
      vvvvRaw = (last >> 3) & 15;
      vvvv = (vvvvRaw ^ 15) & (long ? 15 : 7);
      opcode = <i32>load<u8>(p++);
    }
  }

  let entry = load<i32>(TABLES + (map << 10) + (opcode << 2));
  if (entry == 0) return emitFault(H_UD, p - start, offset + p - start);
  let modrm = 0;
  if (entry & T_MODRM) modrm = <i32>load<u8>(p++);
  const address = long ? 2 - p67 : sizeDefault ^ p67;
  const size = long && w ? 2 : sizeDefault ^ p66;
  const selector =
    modeSelector |
    (size << S_SIZE) |
    (address << S_ADDR) |
    (prefix << S_PREFIX) |
    (((modrm >> 3) & 7) << S_REG) |
    ((modrm & 7) << S_RM) |
    (modrm >= 0xc0 ? 1 << S_MOD3 : 0) |
    (w << S_W) |
    (vexL << S_L) |
    ((rex & 1) << S_REXB);
  while (!(entry & T_LEAF)) {
    const node = entry & T_ADDRESS;
    const head = load<i32>(node);
    entry = load<i32>(node + 4 + (((selector >> (head & 255)) & (head >> 8)) << 2));
  }
  const leaf = entry & T_ADDRESS;
  const handler = <i32>load<u16>(leaf, L_HANDLER);
  const flags = <i32>load<u16>(leaf, L_FLAGS);
  if (handler == H_UD || (lock && !(flags & LF_LOCK))) return emitFault(H_UD, p - start, offset + p - start);
  if (vex && vvvvRaw != 15 && !(flags & LF_VVVV)) return emitFault(H_UD, p - start, offset + p - start);

  const memory = flags & (LF_MEM | LF_MOFFS);
  let sib = 0;
  if (memory) {
    if (flags & LF_MEM) {
      // VSIB needs a SIB byte (SDM vol. 2, 2.3.12).
      if (flags & LF_VSIB && (address == 0 || (modrm & 7) != 4)) return emitFault(H_UD, p - start, offset + p - start);
      if (flags & LF_VSIB) sib = <i32>load<u8>(p);
      p = readModrm(p, modrm, rex, address, forced, long);
      const raised = <i32>load<u8>(leaf, L_POP);
      if (raised) raiseStackBase(raised);
    } else p = readOffset(p, address, forced);
  }

  let imm = 0;
  let imm64: i64 = 0;
  let second = 0; // what goes to disp without a memory operand
  const kind = <i32>load<u8>(leaf, L_IMM);
  if (kind) {
    switch (kind) {
      case IMM_U8:
        imm = <i32>load<u8>(p++);
        break;
      case IMM_S8:
        imm = <i32>load<i8>(p++);
        break;
      case IMM_U16:
        imm = <i32>load<u16>(p);
        p += 2;
        break;
      case IMM_S16:
        imm = <i32>load<i16>(p);
        p += 2;
        break;
      case IMM_32:
        imm = load<i32>(p);
        p += 4;
        break;
      case IMM_64:
        imm64 = load<i64>(p);
        p += 8;
        break;
      case IMM_FAR16:
        imm = <i32>load<u16>(p);
        second = <i32>load<u16>(p, 2);
        p += 4;
        break;
      case IMM_FAR32:
        imm = load<i32>(p);
        second = <i32>load<u16>(p, 4);
        p += 6;
        break;
      case IMM_ENTER:
        imm = <i32>load<u16>(p);
        second = <i32>load<u8>(p, 2);
        p += 3;
        break;
    }
  }

  // x87: the eleven bits of FOP.
  if (map == 0 && (opcode & 0xf8) == 0xd8) imm = ((opcode & 7) << 8) | modrm;

  let a = <i32>load<u8>(leaf, L_A);
  let b = <i32>load<u8>(leaf, L_B);
  const c = <i32>load<u8>(leaf, L_C);
  if (a) a = field(a, modrm, opcode, rex, hasRex, vvvv, imm);
  if (b) b = field(b, modrm, opcode, rex, hasRex, vvvv, imm);
  if ((a | b) < 0) return emitFault(H_UD, p - start, offset + p - start);
  if (c) imm = (imm & 0xff) | (field(c, modrm, opcode, rex, hasRex, vvvv, imm) << 8);

  const length = p - start;
  let base: i32;
  let index = 0;
  let scale = 0;
  if (flags & LF_PARTS) {
    out = placeRelative(out, offset + length);
    base = eaBase;
    index = flags & LF_VSIB ? (((sib >> 3) & 7) | ((rex & 2) << 2)) << 4 : eaIndex;
    scale = flags & LF_VSIB ? sib >> 6 : eaScale;
    second = eaDisp;
    imm = eaSegment | (address << 8);
    // Destination, mask and index of a gather must differ (SDM vol. 2, VGATHERDPS).
    if (flags & LF_VSIB && (a == b || a == index || b == index)) return emitFault(H_UD, p - start, offset + p - start);
  } else if (memory) {
    const bytes = <i32>load<u8>(leaf, L_SIZE);
    const write = flags & LF_WRITE ? 1 : 0;
    const only = (flags & LF_ADDRESS) != 0;
    out = placeAddress(out, offset + length, address, long, segmented, bytes, write, only);
    base = eaBase;
    index = eaIndex;
    scale = eaScale;
    second = eaDisp;
  } else {
    base = 2 << address;
    const d = <i32>load<u8>(leaf, L_D);
    if (d) index = field(d, modrm, opcode, rex, hasRex, vvvv, imm);
    if (flags & LF_REP) {
      a = forced >= (long ? FS : 0) ? forced : DS;
      b = rep;
      scale = <i32>load<u8>(leaf, L_SCALE);
    } else if (flags & LF_IMM64) scale = REC_SCALE_EXT;
    else scale = forced + 1; // MASKMOVDQU asks
  }
  store<i32>(out, handler | (length << 16) | (a << 24));
  store<i32>(out, b | (base << 8) | (index << 16) | (scale << 24), 4);
  store<i32>(out, second, 8);
  store<i32>(out, imm, 12);
  out += REC_SIZE;
  if (flags & (LF_ENDS | LF_IMM64)) {
    if (flags & LF_ENDS) {
      ended = true;
      emitEnd(offset + length);
    } else {
      store<i64>(out, imm64);
      store<i64>(out, 0, 8);
      out += REC_SIZE;
    }
  }
  return length;
}
