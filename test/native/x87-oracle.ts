// Runs one x87 instruction over an array of cases on the processor under us. A case is a record of 512 bytes:
//   +0 FSAVE image before (108 bytes, 32-bit protected mode format), +112 memory operand (16 bytes; the instruction
//   addresses it as [rbx+70h] and may write it), +128 FSAVE image after, +256 RFLAGS after, +264 RFLAGS before,
//   +272 RAX after.
// The image before must hold no pending unmasked exception.

import { type NativeCode, nativeCode } from './exec-page.js';

export const X87_RECORD = 512;
export const X87_BEFORE = 0;
export const X87_MEMORY = 112;
export const X87_AFTER = 128;
export const X87_FLAGS = 256;
export const X87_FLAGS_BEFORE = 264;
export const X87_RAX = 272;
/** Offsets in an FSAVE image. */
export const FSAVE_CW = 0;
export const FSAVE_SW = 4;
export const FSAVE_TW = 8;
export const FSAVE_ST = 28;
export const FSAVE_SIZE = 108;

const loops = new Map<string, NativeCode>();

function le32(v: number): number[] {
  return [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >> 24) & 255];
}

function loopOf(instruction: readonly number[]): NativeCode {
  const key = instruction.join();
  const known = loops.get(key);
  if (known) return known;
  const head = [0x53, 0x48, 0x89, 0xfb]; // push rbx; mov rbx, rdi
  const body = [
    0xdd,
    0x23, // frstor [rbx]
    0xff,
    0xb3,
    ...le32(X87_FLAGS_BEFORE),
    0x9d, // push [rbx+264]; popfq
    ...instruction,
    0x48,
    0x89,
    0x83,
    ...le32(X87_RAX), // mov [rbx+272], rax
    0x9c,
    0x8f,
    0x83,
    ...le32(X87_FLAGS), // pushfq; pop [rbx+256]
    0xdd,
    0xb3,
    ...le32(X87_AFTER), // fnsave [rbx+128]
    0x48,
    0x81,
    0xc3,
    ...le32(X87_RECORD), // add rbx, 512
    0x48,
    0xff,
    0xce, // dec rsi
  ];
  const tail = [0x0f, 0x85, ...le32(-(body.length + 6)), 0xfc, 0x5b, 0xc3]; // jnz body; cld; pop rbx; ret
  const code = nativeCode(new Uint8Array([...head, ...body, ...tail]));
  loops.set(key, code);
  return code;
}

/** Runs `instruction` for `count` records at `address`. */
export function runX87(instruction: readonly number[], address: number, count: number): void {
  if (count > 0) loopOf(instruction).call(address, count);
}
