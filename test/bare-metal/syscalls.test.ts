/** SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, FS and GS bases, UMIP's kin, ports and their permission bitmap. */
import { describe, expect, test } from 'vitest';
import { type Bench, type Mode, machine } from './bench.js';
import {
  ATTR,
  CR0,
  CR4,
  DATA,
  EFER,
  F,
  K64,
  KDATA,
  RING0_STACK,
  STACK,
  TSS,
  U32,
  U64,
  UDATA,
  USER_CODE,
  USER_DATA,
  USER_STACK,
  V,
} from './layout.js';

const STAR = 0xc000_0081;
const LSTAR = 0xc000_0082;
const FMASK = 0xc000_0084;
const KERNEL_GS = 0xc000_0102;
const KERNEL = 0x11000;
const ud = { vector: V.UD };
const gp0 = { vector: V.GP, error: 0 };

/** SYSCALL ready: kernel at 11000h, selectors as the layout has them. */
function syscalls(mode: Mode, ring: number, fmask = 0): Bench {
  const b = machine(mode, { ring });
  b.state.efer |= EFER.SCE;
  b.state.msrs.set(STAR, (0x28n << 48n) | (BigInt(K64) << 32n));
  b.state.msrs.set(LSTAR, BigInt(KERNEL));
  b.state.msrs.set(FMASK, BigInt(fmask));
  return b;
}

describe('SYSCALL and SYSRET', () => {
  test('SYSCALL saves RIP and RFLAGS, masks flags and loads flat segments', () => {
    const b = syscalls('long', 3, F.IF | F.DF);
    b.load('hlt', KERNEL);
    b.state.rflags |= BigInt(F.IF | F.DF | F.CF);
    const p = b.load('syscall\n after: int 0x40');
    expect(b.run()).toMatchObject({ vector: -1, rip: KERNEL + 1, cs: K64, ss: KDATA, sp: USER_STACK, flags: 3 });
    expect(b.reg('rcx')).toBe(BigInt(p.at('after')));
    expect(b.reg('r11')).toBe(BigInt(2 | F.IF | F.DF | F.CF));
    expect(b.state.cs).toMatchObject({ base: 0n, limit: 0xffff_ffff, attributes: ATTR.code64 });
    expect(b.state.ss).toMatchObject({ base: 0n, limit: 0xffff_ffff, attributes: ATTR.data32 });
  });

  test('SYSRETQ goes back to 64-bit code in ring 3', () => {
    const b = syscalls('long', 3, F.IF);
    b.load('sysretq', KERNEL);
    b.state.rflags |= BigInt(F.IF);
    const p = b.load('syscall\n after: mov eax, cs\n int 0x40');
    const out = b.run();
    expect(out).toMatchObject({ vector: 0x40, cs: U64, ss: UDATA, sp: USER_STACK, flags: 2 | F.IF });
    expect(out.rip).toBe(p.at('after') + 4);
  });

  test('SYSRETD goes to compatibility code with a 32-bit EIP', () => {
    const b = syscalls('long', 0);
    b.write(USER_CODE, [0x48, 0xcd, 0x40]);
    b.set({ rcx: 0x1234_0000_0000n + BigInt(USER_CODE), r11: 0x202, rax: 2 });
    expect(b.go('sysretd')).toMatchObject({ vector: 0x40, cs: U32, ss: UDATA, flags: 0x202 });
    expect(b.reg('rax')).toBe(1n);
  });

  test('SYSRET loads RFLAGS without RF and VM', () => {
    const b = syscalls('long', 0);
    b.write(USER_CODE, [0xcd, 0x40]);
    b.set({ rcx: USER_CODE, r11: -1n & ~BigInt(F.TF | F.NT) });
    expect(b.go('sysretq').flags).toBe(0x3c7fd7 & ~(F.TF | F.NT));
  });

  test('are #UD without SCE, and in legacy and compatibility code', () => {
    const b = machine('long');
    expect(b.go('syscall')).toMatchObject(ud);
    expect(machine('long').go('sysretq')).toMatchObject(ud);
    expect(syscalls('compat', 3).go('syscall')).toMatchObject(ud);
    expect(machine('protected').go('syscall')).toMatchObject(ud);
    expect(machine('real').go('syscall')).toMatchObject(ud);
  });

  test('SYSRET is #GP(0) in ring 3, and for a non-canonical RCX', () => {
    expect(syscalls('long', 3).go('sysretq')).toMatchObject(gp0);
    const b = syscalls('long', 0);
    b.set({ rcx: 0x8000_0000_0000n });
    const p = b.load('here: sysretq');
    expect(b.run()).toMatchObject({ ...gp0, rip: p.at('here'), cs: K64 });
  });
});

describe('SYSENTER and SYSEXIT', () => {
  function sysenter(mode: Mode, ring: number): Bench {
    const b = machine(mode, { ring });
    b.state.msrs.set(0x174, 8n);
    b.state.msrs.set(0x175, BigInt(STACK - 0x100));
    b.state.msrs.set(0x176, BigInt(KERNEL));
    return b;
  }

  test.each([
    ['protected', ATTR.code32],
    ['compat', ATTR.code64],
    ['long', ATTR.code64],
  ] as const)('SYSENTER from %s mode loads CS, SS, RSP, RIP and clears IF', (mode, attributes) => {
    const b = sysenter(mode, 3);
    b.write(KERNEL, [0xf4]);
    b.state.rflags |= BigInt(F.IF);
    expect(b.go('sysenter')).toMatchObject({
      vector: -1,
      rip: KERNEL + 1,
      cs: 8,
      ss: 0x10,
      sp: STACK - 0x100,
      flags: 2,
    });
    expect(b.state.cs).toMatchObject({ base: 0n, limit: 0xffff_ffff, attributes });
  });

  test('SYSEXIT goes to ring 3 at EDX with ESP in ECX', () => {
    const b = sysenter('protected', 0);
    b.state.msrs.set(0x174, 0x18n);
    b.write(USER_CODE, [0xcd, 0x40]);
    b.set({ rcx: USER_STACK, rdx: USER_CODE });
    expect(b.go('sysexitd')).toMatchObject({ vector: 0x40, cs: 0x2b, ss: UDATA, sp: USER_STACK, rip: USER_CODE + 2 });
  });

  test('SYSEXIT with REX.W goes to 64-bit code', () => {
    const b = sysenter('long', 0);
    b.state.msrs.set(0x174, 0x18n);
    b.write(USER_CODE, [0xcd, 0x40]);
    b.set({ rcx: USER_STACK, rdx: USER_CODE });
    expect(b.go('sysexitq')).toMatchObject({ vector: 0x40, cs: U64, ss: 0x43, sp: USER_STACK });
  });

  test('are #GP(0) without a CS, in real mode, and SYSEXIT outside ring 0', () => {
    for (const instruction of ['sysenter', 'sysexitd']) {
      const b = sysenter('protected', 0);
      b.state.msrs.set(0x174, 3n);
      expect(b.go(instruction), instruction).toMatchObject(gp0);
      expect(machine('real').go(instruction), instruction).toMatchObject({ vector: V.GP });
    }
    expect(sysenter('protected', 3).go('sysexitd')).toMatchObject(gp0);
  });
});

describe('SWAPGS and the bases', () => {
  test('SWAPGS exchanges GS.base and KERNEL_GS_BASE, in ring 0 of 64-bit mode only', () => {
    const b = machine('long');
    b.state.msrs.set(KERNEL_GS, BigInt(DATA));
    b.state.gs.base = 0x1234n;
    b.put64(DATA + 8, 0x77);
    expect(b.go('swapgs\n mov rax, [gs:8]\n hlt').vector).toBe(-1);
    expect(b.reg('rax')).toBe(0x77n);
    expect(b.state.msrs.get(KERNEL_GS)).toBe(0x1234n);
    expect(machine('long', { ring: 3 }).go('swapgs')).toMatchObject(gp0);
    expect(machine('protected').go('db 0x0f, 0x01, 0xf8')).toMatchObject(ud);
  });

  test('RDFSBASE and its kin need CR4.FSGSBASE and 64-bit mode', () => {
    for (const instruction of ['rdfsbase rax', 'rdgsbase eax', 'wrfsbase rax', 'wrgsbase eax'])
      expect(machine('long').go(instruction), instruction).toMatchObject(ud);
    const b = machine('long', { ring: 3 });
    b.state.cr4 |= CR4.FSGSBASE;
    b.put32(USER_DATA + 16, 0x55);
    b.set({ rbx: 0xffff_8000_1234_5678n, rcx: USER_DATA });
    expect(b.go('wrgsbase rbx\n rdgsbase rsi\n rdgsbase edi\n wrfsbase ecx\n mov eax, [fs:16]\n int 0x40').vector).toBe(
      0x40,
    );
    expect([b.reg('rsi'), b.reg('rdi'), b.reg('rax')]).toEqual([0xffff_8000_1234_5678n, 0x1234_5678n, 0x55n]);
    const c = machine('long');
    c.state.cr4 |= CR4.FSGSBASE;
    c.set({ rbx: 0x8000_0000_0000n });
    expect(c.go('wrfsbase rbx')).toMatchObject(gp0);
    const d = machine('compat');
    d.state.cr4 |= CR4.FSGSBASE;
    expect(d.go('db 0xf3, 0x0f, 0xae, 0xc0')).toMatchObject(ud);
  });
});

describe('time', () => {
  test('RDTSC rises, RDTSCP gives TSC_AUX, RDPID too', () => {
    const b = machine('long');
    b.state.msrs.set(0xc000_0103, 0x1234n);
    b.set({ rax: -1, rdx: -1 });
    expect(b.go('rdtsc\n mov ebx, eax\n rdtscp\n mov esi, ecx\n mov edi, eax\n rdpid rbp\n hlt').vector).toBe(-1);
    expect(b.reg('rdi') > b.reg('rbx')).toBe(true);
    expect([b.reg('rsi'), b.reg('rbp')]).toEqual([0x1234n, 0x1234n]);
  });

  test('TSD keeps RDTSC and RDTSCP from ring 3', () => {
    for (const instruction of ['rdtsc', 'rdtscp']) {
      const b = machine('long', { ring: 3 });
      b.state.cr4 |= CR4.TSD;
      expect(b.go(instruction), instruction).toMatchObject(gp0);
      expect(machine('long', { ring: 3 }).go(`${instruction}\n int 0x40`).vector).toBe(0x40);
    }
  });

  test('WRMSR of IA32_TSC moves it, and TSC_ADJUST along', () => {
    const b = machine('long');
    b.set({ rcx: 0x10, rax: 0, rdx: 0x1000 });
    b.go('wrmsr\n rdtsc\n mov ebx, edx\n mov ecx, 0x3b\n rdmsr\n hlt');
    expect(b.reg('rbx')).toBe(0x1000n);
    expect(b.reg('rdx')).toBe(0xfffn);
  });
});

describe('ports', () => {
  test('IN and OUT move bytes, words and dwords', () => {
    const b = machine('long');
    b.outside.readPort = (port, size) => ((port === 0x123 ? 0x8765_4321 : 0) >>> (32 - size * 8)) >>> 0;
    b.set({ rax: 0x1111_2222_3333_4444n, rdx: 0x123 });
    b.go(
      'out dx, al\n out dx, ax\n out dx, eax\n out 0x80, al\n in al, dx\n mov rbx, rax\n in ax, dx\n mov rcx, rax\n in eax, dx\n hlt',
    );
    expect(b.ports).toEqual([
      { port: 0x123, size: 1, value: 0x44 },
      { port: 0x123, size: 2, value: 0x4444 },
      { port: 0x123, size: 4, value: 0x3333_4444 },
      { port: 0x80, size: 1, value: 0x44 },
    ]);
    expect([b.reg('rbx'), b.reg('rcx'), b.reg('rax')]).toEqual([
      0x1111_2222_3333_4487n,
      0x1111_2222_3333_8765n,
      0x8765_4321n,
    ]);
  });

  test.each([
    ['IOPL 3', 0x3000, 'out 0x80, al', 0x40],
    ['IOPL 2 in ring 3', 0x2000, 'out 0x80, al', V.GP],
  ])('%s', (_name, iopl, instruction, vector) => {
    const b = machine('protected', { ring: 3 });
    b.state.rflags |= BigInt(iopl);
    expect(b.go(`${instruction}\n int 0x40`).vector).toBe(vector);
  });

  /** Ring 3 with a bitmap at offset 68h that permits all but what `denied` names. */
  function bitmap(mode: Mode, denied: readonly number[], limit = 0xfff): Bench {
    const b = machine(mode, { ring: 3 });
    b.put16(TSS + 0x66, 0x68);
    for (const port of denied) b.put8(TSS + 0x68 + (port >> 3), b.u8(TSS + 0x68 + (port >> 3)) | (1 << (port & 7)));
    b.state.tr = { ...b.state.tr, limit };
    return b;
  }

  test.each<Mode>(['protected', 'long', 'v8086'])('the bitmap decides bit by bit in %s mode', (mode) => {
    for (const [instruction, denied, good] of [
      ['in al, 0x60', [0x61], true],
      ['in al, 0x60', [0x60], false],
      ['in ax, 0x60', [0x61], false],
      ['in eax, 0x60', [0x64], true],
      ['in eax, 0x5e', [0x61], false],
      ['in ax, 0x67', [0x68], false],
      ['in ax, 0x67', [0x69], true],
    ] as const) {
      const b = bitmap(mode, denied);
      if (mode === 'v8086') b.state.rflags |= 0x3000n;
      expect(b.go(`${instruction}\n int 0x40`), `${instruction} ${denied}`).toMatchObject(
        good ? { vector: 0x40 } : gp0,
      );
    }
  });

  test("the bitmap ends with the TSS: the byte behind the port's must be there too", () => {
    for (const [limit, good] of [
      [0x68 + 12 + 1, true],
      [0x68 + 12, false],
    ] as const) {
      const b = bitmap('protected', [], limit);
      expect(b.go('in al, 0x60\n int 0x40'), String(limit)).toMatchObject(good ? { vector: 0x40 } : gp0);
    }
  });

  test('string I/O asks the bitmap too, before anything moves', () => {
    const b = bitmap('long', [0x60]);
    b.set({ rdx: 0x60, rdi: USER_DATA, rcx: 3 });
    const p = b.load('here: rep insb');
    expect(b.run()).toMatchObject({ ...gp0, rip: p.at('here') });
    expect(b.reg('rcx')).toBe(3n);
  });

  test('INS and OUTS move elements in order', () => {
    const b = machine('long');
    let n = 0;
    b.outside.readPort = () => ++n;
    b.write(DATA, [0x11, 0x22, 0x33, 0x44]);
    b.set({ rdx: 0x1f0, rdi: DATA + 0x10, rsi: DATA, rcx: 3 });
    b.go('rep insw\n mov ecx, 2\n rep outsw\n hlt');
    expect([0, 2, 4].map((i) => b.u16(DATA + 0x10 + i))).toEqual([1, 2, 3]);
    expect(b.ports.map((a) => a.value)).toEqual([0x2211, 0x4433]);
  });
});

describe('MMIO', () => {
  test('accesses beyond RAM reach the machine; eight bytes as two halves, low first', () => {
    const b = machine('protected');
    b.set({ rbx: 0xe000_0000 });
    b.state.cr4 |= CR4.OSFXSR;
    b.go(
      'mov al, [ebx]\n mov ax, [ebx+2]\n mov ecx, [ebx+4]\n mov [ebx+8], ecx\n movq xmm0, [ebx+16]\n movq [ebx+24], xmm0\n hlt',
    );
    expect(b.outside.mmio).toEqual([
      { gpa: 0xe000_0000, size: 1, value: undefined },
      { gpa: 0xe000_0002, size: 2, value: undefined },
      { gpa: 0xe000_0004, size: 4, value: undefined },
      { gpa: 0xe000_0008, size: 4, value: 0xa5a5_a5a5 },
      { gpa: 0xe000_0010, size: 4, value: undefined },
      { gpa: 0xe000_0014, size: 4, value: undefined },
      { gpa: 0xe000_0018, size: 4, value: 0xa5a5_a5a5 },
      { gpa: 0xe000_001c, size: 4, value: 0xa5a5_a5a5 },
    ]);
  });

  test('a read-modify-write reads once and writes once', () => {
    const b = machine('protected');
    b.set({ rbx: 0xe000_0000, rax: 1 });
    b.go('add [ebx], eax\n hlt');
    expect(b.outside.mmio).toEqual([
      { gpa: 0xe000_0000, size: 4, value: undefined },
      { gpa: 0xe000_0000, size: 4, value: 0xa5a5_a5a6 },
    ]);
  });

  test('REP MOVS and STOS go element by element', () => {
    const b = machine('protected');
    b.set({ rdi: 0xe000_0000, rcx: 3, rax: 7 });
    b.go('rep stosd\n hlt');
    expect(b.outside.mmio.map((a) => a.gpa)).toEqual([0xe000_0000, 0xe000_0004, 0xe000_0008]);
  });

  test('executing where nothing is does not end the engine', () => {
    const b = machine('protected');
    const out = b.go('mov eax, 0xe0000000\n jmp eax');
    expect(out.exit).not.toBe('error');
  });

  test('CR0.CD and NW do not matter to memory', () => {
    const b = machine('protected');
    b.state.cr0 |= CR0.CD | CR0.NW;
    b.go('mov dword [DATA], 5\n wbinvd\n hlt');
    expect(b.u32(DATA)).toBe(5);
    expect(b.reg('rsp')).toBe(BigInt(STACK));
    expect(RING0_STACK).toBeLessThan(STACK);
  });
});
