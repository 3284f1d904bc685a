// Runs one SSE instruction over an array of cases on the processor under us. A case is a record of 96 bytes:
//   +0 XMM0 before, +16 XMM1 before, +32 XMM0 after, +48 MXCSR before, +52 MXCSR after, +56 RFLAGS after,
//   +64 RAX before, +72 RAX after, +80 1 if the instruction raised SIGFPE (#XM).
// A handler of our own takes SIGFPE, notes MXCSR and goes on after the instruction, so unmasked exceptions can be
// tried too.

import koffi from 'koffi';
import { type NativeCode, nativeBuffer, nativeCode } from './exec-page.js';

export const SSE_RECORD = 96;
export const SSE_XMM0 = 0;
export const SSE_XMM1 = 16;
export const SSE_OUT = 32;
export const SSE_MXCSR = 48;
export const SSE_MXCSR_OUT = 52;
export const SSE_FLAGS = 56;
export const SSE_RAX = 64;
export const SSE_RAX_OUT = 72;
export const SSE_TRAPPED = 80;

const SIGFPE = 8;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x08000000;

// handler(signal, info, context in RDX): the context holds R12 at +72, RBX at +128, RIP at +168, the pointer to the
// FXSAVE image at +224 (Linux, struct ucontext). RBX: the record; R12: where to go on.
const HANDLER = [
  0x48,
  0x8b,
  0x82,
  0xe0,
  0,
  0,
  0, // mov rax, [rdx+224]
  0x8b,
  0x48,
  0x18, // mov ecx, [rax+24]
  0x4c,
  0x8b,
  0x82,
  0x80,
  0,
  0,
  0, // mov r8, [rdx+128]
  0x41,
  0x89,
  0x48,
  SSE_MXCSR_OUT, // mov [r8+52], ecx
  0x41,
  0xc7,
  0x40,
  SSE_TRAPPED,
  1,
  0,
  0,
  0, // mov dword [r8+80], 1
  0xc7,
  0x40,
  0x18,
  0x80,
  0x1f,
  0,
  0, // mov dword [rax+24], 1f80h
  0x48,
  0x8b,
  0x4a,
  0x48, // mov rcx, [rdx+72]
  0x48,
  0x89,
  0x8a,
  0xa8,
  0,
  0,
  0, // mov [rdx+168], rcx
  0xc3,
];

let installed = false;

function installHandler(): void {
  if (installed) return;
  const handler = nativeCode(new Uint8Array(HANDLER));
  const action = nativeBuffer(4096);
  action.view.setBigUint64(0, BigInt(handler.address), true);
  action.view.setInt32(136, SA_SIGINFO | SA_ONSTACK, true);
  const sigaction = koffi.load(null).func('int sigaction(int, uintptr_t, uintptr_t)');
  if (sigaction(SIGFPE, action.address, 0) !== 0) throw new Error('sigaction refused');
  installed = true;
}

const loops = new Map<string, NativeCode>();

function loopOf(instruction: readonly number[]): NativeCode {
  const key = instruction.join();
  const known = loops.get(key);
  if (known) return known;
  const body = [
    0x31,
    0xc0,
    0x89,
    0x43,
    SSE_TRAPPED, // xor eax, eax; mov [rbx+80], eax
    0x0f,
    0x10,
    0x03, // movups xmm0, [rbx]
    0x0f,
    0x10,
    0x4b,
    0x10, // movups xmm1, [rbx+16]
    0x48,
    0x8b,
    0x43,
    SSE_RAX, // mov rax, [rbx+64]
    0x0f,
    0xae,
    0x53,
    SSE_MXCSR, // ldmxcsr [rbx+48]
    ...instruction,
    0x9c,
    0x8f,
    0x43,
    SSE_FLAGS, // pushfq; pop [rbx+56]
    0x0f,
    0xae,
    0x5b,
    SSE_MXCSR_OUT, // stmxcsr [rbx+52]
    // resume:
    0x0f,
    0x11,
    0x43,
    SSE_OUT, // movups [rbx+32], xmm0
    0x48,
    0x89,
    0x43,
    SSE_RAX_OUT, // mov [rbx+72], rax
    0x48,
    0x83,
    0xc3,
    SSE_RECORD, // add rbx, 96
    0x48,
    0xff,
    0xce, // dec rsi
  ];
  const resumeFromEnd = 15;
  const head = [
    0x53,
    0x41,
    0x54, // push rbx; push r12
    0x48,
    0x83,
    0xec,
    0x08, // sub rsp, 8
    0x48,
    0x89,
    0xfb, // mov rbx, rdi
    0x4c,
    0x8d,
    0x25,
    ...le32(body.length - resumeFromEnd), // lea r12, [rip+resume]
  ];
  const tail = [
    0x0f,
    0x85,
    ...le32(-(body.length + 6)), // jnz body
    0xc7,
    0x04,
    0x24,
    0x80,
    0x1f,
    0,
    0, // mov dword [rsp], 1f80h
    0x0f,
    0xae,
    0x14,
    0x24, // ldmxcsr [rsp]
    0x48,
    0x83,
    0xc4,
    0x08, // add rsp, 8
    0x41,
    0x5c,
    0x5b,
    0xc3, // pop r12; pop rbx; ret
  ];
  const code = nativeCode(new Uint8Array([...head, ...body, ...tail]));
  loops.set(key, code);
  return code;
}

function le32(v: number): number[] {
  return [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >> 24) & 255];
}

/** Runs `instruction` (on xmm0, xmm1, rax) for `count` records at `address`, each with its own MXCSR. */
export function runSse(instruction: readonly number[], address: number, count: number): void {
  installHandler();
  if (count > 0) loopOf(instruction).call(address, count);
}
