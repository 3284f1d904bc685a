/**
 * Which instructions do nothing but compute (SDM vol. 2, appendix A): those that a stepper may execute by the dozen for an
 * engine that can't emulate the first of them. What asks the outside world, changes the machine's mode or may touch a
 * device's registers is not among them; with memory operands only what no driver uses for that, which is SIMD above all.
 */

/** Of the longest instruction. */
export const LONGEST = 15;

/** Operand size, REP, segments; LOCK is left to whoever can lock. */
const PREFIXES = new Set([0x66, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65]);

/** @param code at least LONGEST bytes; `long`: whether it is 64-bit code */
export function isPlain(code: Uint8Array, long: boolean): boolean {
  let at = 0;
  while (at < LONGEST && PREFIXES.has(code[at])) at++;
  if (long && (code[at] & 0xf0) === 0x40) at++;
  const opcode = code[at];
  if (opcode === 0x0f) return isPlainTwoByte(code[at + 1], code[at + 2]);
  // VEX, where it is not LES and LDS.
  if (opcode === 0xc4 || opcode === 0xc5) return long;
  const inRegisters = code[at + 1] >= 0xc0;
  // ALU: with a register or memory (0 to 3), with an immediate (4, 5).
  if (opcode < 0x40) return (opcode & 7) < 4 ? inRegisters : (opcode & 7) < 6;
  // Jcc; MOV of immediates.
  if ((opcode & 0xf0) === 0x70 || (opcode & 0xf0) === 0xb0) return true;
  switch (opcode) {
    case 0x8d: // LEA
    case 0x90:
    case 0xe9:
    case 0xeb:
      return true;
    case 0x80:
    case 0x81:
    case 0x83:
    case 0x84:
    case 0x85:
    case 0x88:
    case 0x89:
    case 0x8a:
    case 0x8b:
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xf6:
    case 0xf7:
      return inRegisters;
    case 0xfe:
    case 0xff: // INC and DEC; the rest jumps, calls and pushes
      return inRegisters && (code[at + 1] & 0x30) === 0;
    default:
      return false;
  }
}

function isPlainTwoByte(opcode: number, next: number): boolean {
  switch (opcode & 0xf0) {
    case 0x10:
      return opcode < 0x18;
    case 0x20:
      return opcode >= 0x28;
    case 0x30:
      // Three-byte opcodes, but for 0F 38 80 to 8F, which are virtual machines' and PCIDs'.
      return opcode === 0x3a || (opcode === 0x38 && (next & 0xf0) !== 0x80);
    case 0x70:
      // VMREAD and VMWRITE stand in between.
      return opcode < 0x78 || opcode >= 0x7c;
    case 0xa0:
      return opcode === 0xaf && next >= 0xc0;
    case 0xb0:
      // MOVZX and MOVSX; POPCNT and bit scans of registers.
      return [0xb6, 0xb7, 0xbe, 0xbf].includes(opcode) || ([0xb8, 0xbc, 0xbd].includes(opcode) && next >= 0xc0);
    case 0xc0:
      return [0xc2, 0xc4, 0xc5, 0xc6].includes(opcode) || opcode >= 0xc8;
    case 0xf0:
      return opcode !== 0xff;
    default:
      // CMOV, SSE and MMX, Jcc and SETcc of registers.
      return (
        (opcode >= 0x40 && opcode < 0x70) ||
        (opcode & 0xf0) === 0x80 ||
        ((opcode & 0xf0) === 0x90 && next >= 0xc0) ||
        (opcode >= 0xd0 && opcode < 0xf0)
      );
  }
}
