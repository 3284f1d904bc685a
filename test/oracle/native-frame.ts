// Runs one instruction of x86-64 on the processor under us with every register loaded from a frame and stored to another,
// memory operands in a data area, and exceptions caught (signals) instead of ending the process.
//
// Everything lies in one area below 2 GiB, so that code reaches the frames by absolute addresses, without a register:
//
//   +0      entry; +SLOT the instruction, followed by a jump to +RESUME; +LANDING where branches go; +HANDLER signal
//           handlers
//   +IN     registers before, +OUT after (frame layout: F_*)
//   +STACK  alternate signal stack
//   +DATA   data area: what the instruction's memory operands and stack lie in
//   +CODE   room for sequences of instructions, pages that nobody may touch on both sides

import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import { nativeCode, nativeX86 } from '../native/exec-page.js';

const SLOT = 0x800;
const RESUME = 0x900;
/** 32-bit code: where it begins, and where it comes back to 64-bit mode. */
const ENTRY32 = 0xa00;
const BACK = 0xb00;
const FAR = 0x1740;
/** Where the entry jumps to. */
const START = 0x1780;
const SMALL_STACK = 0x1fc0;
const CS32 = 0x23;
const CS64 = 0x33;
const DS32 = 0x2b;
const HANDLER = 0xc00;
/** Distance from the instruction to the place that branches go to. */
export const LANDING = 0x40;
const IN = 0x1000;
const OUT = 0x1800;
const SAVED_RSP = 0x1700;
const STACK = 0x2000;
const STACK_SIZE = 0x10000;
const DATA = STACK + STACK_SIZE;
/** Bytes of the data area. */
export const DATA_SIZE = 0x4000;
/** Pages of the address space on both sides of a sequence's code that are mapped nowhere. */
export const GUARD_SIZE = 0x1000;
const CODE = DATA + DATA_SIZE + GUARD_SIZE;
/** Bytes for a sequence's code. */
export const CODE_SIZE = 0x3000;
const AREA = CODE + CODE_SIZE + GUARD_SIZE;

/** Features of the processor, by /proc/cpuinfo's names. */
export const offered: ReadonlySet<string> = nativeX86
  ? new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' '))
  : new Set();
export const hasAvx = offered.has('avx');

/** Frame: 16 GPRs, flags, vector of the exception or -1, error code, CR2; the FXSAVE64 image at F_FX. */
export const F_FLAGS = 0x80;
export const F_VECTOR = 0x88;
export const F_ERROR = 0x90;
export const F_CR2 = 0x98;
/** 1: the instruction branched to LANDING. */
export const F_LANDED = 0xa0;
/** RIP of the exception. */
export const F_RIP = 0xa8;
export const F_FX = 0x100;
/** Upper halves of YMM0 to YMM15, where the processor has them. */
export const F_YMM = 0x300;
export const FRAME_SIZE = 0x400;

export function copyFrame(from: DataView, to: DataView): void {
  new Uint8Array(to.buffer, to.byteOffset, FRAME_SIZE).set(new Uint8Array(from.buffer, from.byteOffset, FRAME_SIZE));
}

const SIGNALS = [4, 5, 7, 8, 11]; // SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x08000000;
const SA_NODEFER = 0x40000000;
const PROT_NONE = 0;

const le32 = (v: number) => [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >>> 24) & 255];

export type Bits = 32 | 64;

export class NativeFrame {
  readonly bits: Bits;
  /** The processor has YMM registers, so their upper halves are loaded and stored. */
  readonly hasUppers = hasAvx;
  /** Address of the instruction: the same in the engine, for RIP-relative operands. */
  readonly slot: number;
  /** Linear address of the data area. */
  readonly dataAddress: number;
  readonly input: DataView;
  readonly output: DataView;
  readonly data: Uint8Array;
  /** Linear address of the room for sequences. */
  readonly codeAddress: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #call: () => void;
  readonly #base: number;

  /** @param bits mode in which instructions run: 64-bit, or compatibility mode with flat 32-bit segments */
  constructor(bits: Bits) {
    this.bits = bits;
    const code = nativeCode(new Uint8Array([0xc3]), AREA);
    const base = code.address;
    const buffer = koffi.view(BigInt(base), AREA);
    this.#base = base;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.codeAddress = base + CODE;
    this.slot = base + SLOT;
    this.dataAddress = base + DATA;
    this.input = new DataView(buffer, IN, FRAME_SIZE);
    this.output = new DataView(buffer, OUT, FRAME_SIZE);
    this.data = new Uint8Array(buffer, DATA, DATA_SIZE);
    this.#place(0, this.#entry());
    this.#place(RESUME, this.#resume());
    // mov dword [F_LANDED], 1
    const absolute = bits === 64 ? [0x04, 0x25] : [0x05];
    this.#place(SLOT + LANDING, [0xc7, ...absolute, ...le32(base + OUT + F_LANDED), ...le32(1)], RESUME);
    const mprotect = koffi.load(null).func('int mprotect(uintptr_t, size_t, int)');
    for (const guard of [CODE - GUARD_SIZE, CODE + CODE_SIZE])
      if (mprotect(base + guard, GUARD_SIZE, PROT_NONE) !== 0) throw new Error('mprotect refused');
    this.#installHandlers();
    this.#call = () => void code.call();
  }

  /** With RSP on the signal stack the kernel would take an exception for a nested one. */
  refusesStack(rsp: bigint): boolean {
    return rsp >= BigInt(this.#base + STACK) && rsp <= BigInt(this.#base + STACK + STACK_SIZE);
  }

  /** Executes `instruction` on the state in `input` and `data`; the result is in `output` and `data`. */
  run(instruction: Uint8Array): void {
    this.#bytes.set(instruction, SLOT);
    const next = SLOT + instruction.length;
    this.#bytes.set([0xe9, ...le32(RESUME - next - 5)], next);
    this.#enter(SLOT);
  }

  /** Executes code that lies at `offset` of the room for it and ends at `end` of it, where 5 bytes are free. */
  runSequence(code: Uint8Array, offset: number, end: number): void {
    this.#bytes.set(code, CODE + offset);
    this.#bytes.set([0xe9, ...le32(RESUME - CODE - end - 5)], CODE + end);
    this.#enter(CODE + offset);
  }

  /** Whether an address lies in a page that is mapped nowhere. */
  isGuard(address: number): boolean {
    const offset = address - this.codeAddress;
    return (offset >= -GUARD_SIZE && offset < 0) || (offset >= CODE_SIZE && offset < CODE_SIZE + GUARD_SIZE);
  }

  #enter(start: number): void {
    this.#view.setBigUint64(START, BigInt(this.#base + start), true);
    this.output.setInt32(F_VECTOR, -1, true);
    this.output.setInt32(F_LANDED, 0, true);
    this.#call();
  }

  /** MOV r64, [address] (8B) or MOV [address], r64 (89), absolute. */
  #move(opcode: 0x8b | 0x89, register: number, address: number): number[] {
    return [register > 7 ? 0x4c : 0x48, opcode, 0x04 | ((register & 7) << 3), 0x25, ...le32(address)];
  }

  /** Code at an offset, followed by a jump to another one. */
  #place(at: number, code: readonly number[], jumpTo?: number): void {
    const jump = jumpTo === undefined ? [] : [0xe9, ...le32(jumpTo - at - code.length - 5)];
    this.#bytes.set([...code, ...jump], at);
  }

  /** MOV r32, [address] or MOV [address], r32, in 32-bit mode. */
  #move32(opcode: 0x8b | 0x89, register: number, address: number): number[] {
    return [opcode, 0x05 | (register << 3), ...le32(address)];
  }

  /** VINSERTF128 ymm, ymm, [address], 1 for all registers, or VEXTRACTF128 [address], ymm, 1 and VZEROUPPER. */
  #uppers(opcode: 0x18 | 0x19, address: number): number[] {
    const code: number[] = [];
    for (let r = 0; hasAvx && r < 16; r++) {
      const vvvv = opcode === 0x18 ? r ^ 15 : 15;
      code.push(0xc4, (r < 8 ? 0xe0 : 0x60) | 3, (vvvv << 3) | 5, opcode, ((r & 7) << 3) | 4, 0x25);
      code.push(...le32(address + r * 16), 1);
    }
    return opcode === 0x18 || !hasAvx ? code : [...code, 0xc5, 0xf8, 0x77];
  }

  #entry(): number[] {
    const b = this.#base;
    const head = [
      0x53,
      0x55,
      0x41,
      0x54,
      0x41,
      0x55,
      0x41,
      0x56,
      0x41,
      0x57, // push rbx, rbp, r12 to r15
      ...this.#move(0x89, 4, b + SAVED_RSP),
      0x48,
      0x0f,
      0xae,
      0x0c,
      0x25,
      ...le32(b + IN + F_FX), // fxrstor64
      ...this.#uppers(0x18, b + IN + F_YMM),
    ];
    if (this.bits === 64) {
      const loads: number[] = [];
      for (let r = 0; r < 16; r++) loads.push(...this.#move(0x8b, r, b + IN + r * 8));
      const flags = [0xff, 0x34, 0x25, ...le32(b + IN + F_FLAGS), 0x9d]; // push qword; popfq
      const code = [...head, ...flags, ...loads];
      return [...code, 0xff, 0x24, 0x25, ...le32(b + START)]; // jmp [START]
    }
    this.#place(FAR, [...le32(b + ENTRY32), CS32, 0]);
    const loads: number[] = [];
    for (let r = 0; r < 8; r++) loads.push(...this.#move32(0x8b, r, b + IN + r * 8));
    const code = [
      0xbc,
      ...le32(b + SMALL_STACK), // mov esp, imm32
      0xff,
      0x35,
      ...le32(b + IN + F_FLAGS),
      0x9d, // push dword; popfd
      ...loads,
    ];
    this.#place(ENTRY32, [...code, 0xff, 0x25, ...le32(b + START)]); // jmp [START]
    // mov eax, DS32; mov ds, eax; mov es, eax; jmp far [FAR]
    return [...head, 0xb8, ...le32(DS32), 0x8e, 0xd8, 0x8e, 0xc0, 0xff, 0x2c, 0x25, ...le32(b + FAR)];
  }

  #resume(): number[] {
    const b = this.#base;
    const tail = [
      ...this.#uppers(0x19, b + OUT + F_YMM),
      0x48,
      0x0f,
      0xae,
      0x04,
      0x25,
      ...le32(b + OUT + F_FX), // fxsave64
      0xfc,
      0xdb,
      0xe3, // cld; fninit
      0x68,
      0x80,
      0x1f,
      0,
      0,
      0x0f,
      0xae,
      0x14,
      0x24,
      0x58, // push 1f80h; ldmxcsr [rsp]; pop rax
      0x41,
      0x5f,
      0x41,
      0x5e,
      0x41,
      0x5d,
      0x41,
      0x5c,
      0x5d,
      0x5b,
      0xc3,
    ];
    const stores: number[] = [];
    if (this.bits === 64) {
      for (let r = 0; r < 16; r++) stores.push(...this.#move(0x89, r, b + OUT + r * 8));
      const flags = [0x9c, 0x8f, 0x04, 0x25, ...le32(b + OUT + F_FLAGS)]; // pushfq; pop qword
      return [...stores, ...this.#move(0x8b, 4, b + SAVED_RSP), ...flags, ...tail];
    }
    for (let r = 0; r < 8; r++) stores.push(...this.#move32(0x89, r, b + OUT + r * 8));
    // mov eax, 0; mov ds, eax; mov es, eax: as Linux has them
    this.#place(BACK, [...this.#move(0x8b, 4, b + SAVED_RSP), 0xb8, 0, 0, 0, 0, 0x8e, 0xd8, 0x8e, 0xc0, ...tail]);
    return [
      ...stores,
      0xbc,
      ...le32(b + SMALL_STACK),
      0x9c,
      0x8f,
      0x05,
      ...le32(b + OUT + F_FLAGS), // pushfd; pop dword
      0xea,
      ...le32(b + BACK),
      CS64,
      0, // jmp far
    ];
  }

  /**
   * handler(signal, info, context in RDX). Linux, struct ucontext: RIP at +168, error code at +192, trap number at +200,
   * CR2 at +216. An exception of the instruction goes on at RESUME; any other goes to the handler that was there before.
   */
  #installHandlers(): void {
    const b = this.#base;
    const lib = koffi.load(null);
    const sigaction = lib.func('int sigaction(int, uintptr_t, uintptr_t)');
    const sigaltstack = lib.func('int sigaltstack(uintptr_t, uintptr_t)');
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    const scratch = OUT + FRAME_SIZE;
    SIGNALS.forEach((signal, i) => {
      const at = HANDLER + i * 0x80;
      const old = scratch + 0x100 + i * 0xa0;
      sigaction(signal, 0, b + old);
      const previous = Number(view.getBigUint64(old, true));
      const body = [
        0x8b,
        0x82,
        ...le32(168), // mov eax, [rdx+168]
        0x2d,
        ...le32(b + SLOT), // sub eax, slot
        0x83,
        0xf8,
        0x10, // cmp eax, 16
        0x72,
        12, // jb ours
        0x2d,
        ...le32(CODE - SLOT), // sub eax, code - slot
        0x3d,
        ...le32(CODE_SIZE), // cmp eax, size
        0x73,
        0, // jae other, patched below
        0x48,
        0x8b,
        0x82,
        ...le32(168), // ours: mov rax, [rdx+168]
        ...this.#move(0x89, 0, b + OUT + F_RIP),
        0x48,
        0x8b,
        0x82,
        ...le32(200), // mov rax, [rdx+200]
        ...this.#move(0x89, 0, b + OUT + F_VECTOR),
        0x48,
        0x8b,
        0x82,
        ...le32(192),
        ...this.#move(0x89, 0, b + OUT + F_ERROR),
        0x48,
        0x8b,
        0x82,
        ...le32(216),
        ...this.#move(0x89, 0, b + OUT + F_CR2),
        0x48,
        0xc7,
        0x82,
        ...le32(168),
        ...le32(b + RESUME), // mov qword [rdx+168], resume
        0xc3,
      ];
      body[27] = body.length - 28;
      // other: jump to the previous handler, or return to fault again with the default action.
      const other =
        previous > 1
          ? [0x48, 0xb8, ...le32(previous % 2 ** 32), ...le32(Math.floor(previous / 2 ** 32)), 0xff, 0xe0]
          : [0xf4];
      this.#bytes.set([...body, ...other], at);
      const action = scratch;
      this.#bytes.fill(0, action, action + 0xa0);
      view.setBigUint64(action, BigInt(b + at), true);
      view.setInt32(action + 136, SA_SIGINFO | SA_ONSTACK | SA_NODEFER, true);
      if (sigaction(signal, b + action, 0) !== 0) throw new Error('sigaction refused');
    });
    // stack_t: pointer, flags, size.
    this.#bytes.fill(0, scratch, scratch + 24);
    view.setBigUint64(scratch, BigInt(b + STACK), true);
    view.setBigUint64(scratch + 16, BigInt(STACK_SIZE), true);
    if (sigaltstack(b + scratch, 0) !== 0) throw new Error('sigaltstack refused');
  }
}
