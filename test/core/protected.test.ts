import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { assemble, type Program } from '../asm/assemble.js';
import { TestMachine } from './machine.js';

const GDT = 0x5000;
const IDT = 0x6000;
const CODE = 0x10000;
const TSS_A = 0x8000;
const TSS_B = 0x8100;
const TSS_C = 0x8200; // 16-bit
const STACK0 = 0x20000;
const STACK3 = 0x30000;

let m: TestMachine;
beforeAll(async () => void (await TestMachine.create()));
beforeEach(async () => {
  m = await TestMachine.create();
});

function descriptor(index: number, base: number, limit: number, access: number, flags = 0xc): void {
  const b = BigInt(base);
  const l = BigInt(limit);
  m.setU64(
    GDT + index * 8,
    (l & 0xffffn) |
      ((b & 0xffffffn) << 16n) |
      (BigInt(access) << 40n) |
      ((l >> 16n) << 48n) |
      (BigInt(flags) << 52n) |
      ((b >> 24n) << 56n),
  );
}

function gate(address: number, selector: number, offset: number, access: number, count = 0): void {
  const o = BigInt(offset);
  m.setU64(
    address,
    (o & 0xffffn) | (BigInt(selector) << 16n) | (BigInt(count) << 32n) | (BigInt(access) << 40n) | ((o >> 16n) << 48n),
  );
}

const u32 = (address: number, value: number) => m.write(address, new Uint8Array(Uint32Array.of(value).buffer));
const u16 = (address: number, value: number) => m.write(address, new Uint8Array(Uint16Array.of(value).buffer));

/** 32-bit protected mode without paging. Selectors: 08 code 0, 10 data 0, 1b code 3, 23 data 3, 28 TSS A, 30 TSS B, 38 TSS C. */
function enter(source: string): Program {
  const p = assemble(32, CODE, source);
  m.write(CODE, p.bytes);
  descriptor(1, 0, 0xfffff, 0x9b);
  descriptor(2, 0, 0xfffff, 0x93);
  descriptor(3, 0, 0xfffff, 0xfb);
  descriptor(4, 0, 0xfffff, 0xf3);
  descriptor(5, TSS_A, 0x67, 0x8b, 0);
  descriptor(6, TSS_B, 0x67, 0x89, 0);
  descriptor(7, TSS_C, 0x2b, 0x81, 0);
  u32(TSS_A + 4, STACK0);
  u32(TSS_A + 8, 0x10);
  for (const v of [8, 10, 11, 12, 13, 14, 0x40]) {
    let target = 0;
    try {
      target = p.at(`vector_${v}`);
    } catch {
      continue;
    }
    gate(IDT + v * 8, 8, target, 0xee);
  }
  m.set((s) => {
    const seg = (selector: number, attributes: number) => ({ selector, base: 0n, limit: 0xffffffff, attributes });
    s.cr0 = 0x33n;
    s.cs = seg(8, 0xc09b);
    s.ss = s.ds = s.es = s.fs = s.gs = seg(0x10, 0xc093);
    s.tr = { selector: 0x28, base: BigInt(TSS_A), limit: 0x67, attributes: 0x8b };
    s.gdtr = { base: BigInt(GDT), limit: 0xff };
    s.idtr = { base: BigInt(IDT), limit: 0x7ff };
    s.rip = BigInt(CODE);
    s.gpr[4] = BigInt(STACK0);
    s.rflags = 2n;
    s.activity = 'running';
  });
  return p;
}

/** A 32-bit TSS image for a task that starts at `eip` in ring 0. */
function tss32(at: number, eip: number, esp: number): void {
  u32(at + 0x20, eip);
  u32(at + 0x24, 2);
  u32(at + 0x38, esp);
  for (const [offset, selector] of [
    [0x48, 0x10],
    [0x4c, 8],
    [0x50, 0x10],
    [0x54, 0x10],
    [0x58, 0x10],
    [0x5c, 0x10],
    [0x60, 0],
  ])
    u32(at + offset, selector);
}

const gpr = (n: number) => Number(m.state.gpr[n]);

describe('hardware tasks', () => {
  test('a far JMP to a TSS saves the old task, loads the new one, and moves the busy bit', () => {
    const p = enter(
      'mov ebx, 0x1111\n jmp 0x30:0\n back: mov ecx, 0x2222\n hlt\n task: mov edx, ebx\n mov eax, 0x3333\n jmp 0x28:0',
    );
    tss32(TSS_B, p.at('task'), 0x28000);
    u32(TSS_B + 0x34, 0x4444); // EBX
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect([gpr(1), gpr(3)]).toEqual([0x2222, 0x1111]);
    expect(m.u32(TSS_A + 0x20)).toBe(p.at('back'));
    expect(m.u32(TSS_B + 0x28)).toBe(0x3333); // EAX of the task as it left
    expect(m.u32(TSS_B + 0x30)).toBe(0x4444); // EDX
    expect([m.engine.memory.view(GDT + 0x2d, 1)[0], m.engine.memory.view(GDT + 0x35, 1)[0]]).toEqual([0x8b, 0x89]);
    expect(m.state.cr0 & 8n).toBe(8n);
    expect(m.state.tr.selector).toBe(0x28);
  });

  test('a far CALL nests: back link, NT, and IRET returns', () => {
    const p = enter('call 0x30:0\n mov ecx, 5\n hlt\n task: pushfd\n pop eax\n mov [0x9000], eax\n iretd');
    tss32(TSS_B, p.at('task'), 0x28000);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(1)).toBe(5);
    expect(m.u32(0x9000) & 0x4000).toBe(0x4000);
    expect(m.u16(TSS_B)).toBe(0x28);
    expect(m.u32(TSS_B + 0x24) & 0x4000).toBe(0);
    expect(m.state.rflags & 0x4000n).toBe(0n);
    expect(m.engine.memory.view(GDT + 0x35, 1)[0]).toBe(0x89);
  });

  test('a task gate in the IDT switches, with the error code on the new task stack', () => {
    const p = enter('mov ax, 0x70\n fault: mov fs, ax\n hlt\n task: pop eax\n mov ebx, esp\n hlt');
    descriptor(14, 0, 0, 0x80, 0); // system segment: not loadable
    tss32(TSS_B, p.at('task'), 0x28000);
    gate(IDT + 13 * 8, 0x30, 0, 0x85);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect([gpr(0), gpr(3)]).toEqual([0x70, 0x28000]);
    expect(m.u32(TSS_A + 0x20)).toBe(p.at('fault'));
  });

  test('a 16-bit TSS works both ways', () => {
    const p = enter(
      'mov ecx, 0x12345\n jmp 0x38:0\n back: mov esi, 1\n hlt\n align 16\n task: mov edx, ebx\n jmp 0x28:0',
    );
    u16(TSS_C + 0x0e, p.at('task') - 0x10000);
    u16(TSS_C + 0x10, 2);
    u16(TSS_C + 0x18, 0xbbbb); // BX
    for (const [offset, selector] of [
      [0x22, 0x10],
      [0x24, 0x48],
      [0x26, 0x10],
      [0x28, 0x10],
      [0x2a, 0],
    ])
      u16(TSS_C + offset, selector);
    descriptor(9, 0x10000, 0xffff, 0x9b, 4); // CS with the code's base, for IP has 16 bits
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(6)).toBe(1);
    expect(m.u16(TSS_C + 0x16)).toBe(0xbbbb); // DX
  });

  test('a busy TSS is #GP with its selector; one that is not present #NP', () => {
    enter('jmp 0x28:0\n hlt\n vector_13: pop eax\n hlt');
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(0x28);
    enter('jmp 0x30:0\n hlt\n vector_11: pop eax\n hlt');
    descriptor(6, TSS_B, 0x67, 0x09, 0);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(0x30);
  });

  test('a TSS whose limit is too small is #TS', () => {
    enter('jmp 0x30:0\n hlt\n vector_10: pop eax\n hlt');
    descriptor(6, TSS_B, 0x66, 0x89, 0);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(0x30);
  });
});

const TO_RING3 = `push 0x23\n push ${STACK3}\n pushfd\n push 0x1b\n push user\n iretd`;

describe('call gates', () => {
  test('a call from ring 3 to ring 0 copies parameters, and RETF n takes both stacks back', () => {
    const p = enter(`
      ${TO_RING3}
      user: push 0x1111
      push 0x2222
      call 0x50:0
      after: mov edi, esp
      int 0x40
      kernel: mov eax, [esp+8]
      mov ebx, [esp+12]
      mov ecx, [esp+16]
      mov edx, [esp+20]
      mov esi, cs
      retf 8
      vector_64: hlt
    `);
    gate(GDT + 0x50, 8, p.at('kernel'), 0xec, 2);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect([gpr(0), gpr(3), gpr(1), gpr(2), gpr(6), gpr(7)]).toEqual([0x2222, 0x1111, STACK3 - 8, 0x23, 8, STACK3]);
  });

  test('a gate of DPL 0 is #GP for ring 3', () => {
    const p = enter(`${TO_RING3}\n user: call 0x50:0\n kernel: hlt\n vector_13: pop eax\n hlt`);
    gate(GDT + 0x50, 8, p.at('kernel'), 0x8c);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(0x50);
  });

  test('a jump to a code segment of ring 0 from ring 3 is #GP', () => {
    enter(`${TO_RING3}\n user: jmp 8:user\n vector_13: pop eax\n hlt`);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(8);
  });

  test('an inner stack that is not writable is #TS with its selector', () => {
    enter(`${TO_RING3}\n user: int 0x40\n vector_64: hlt\n vector_10: pop eax\n hlt`);
    u32(TSS_A + 8, 0x58);
    descriptor(11, 0, 0xfffff, 0x91);
    // #TS itself needs the stack: a task takes it.
    const p = enter(`${TO_RING3}\n user: int 0x40\n vector_64: hlt\n task: pop eax\n hlt`);
    u32(TSS_A + 8, 0x58);
    tss32(TSS_B, p.at('task'), 0x28000);
    gate(IDT + 10 * 8, 0x30, 0, 0x85);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(0x58);
  });

  test('a data segment of ring 0 becomes null on the way out to ring 3', () => {
    enter(`mov ax, 0x10\n mov fs, ax\n ${TO_RING3}\n user: mov eax, fs\n int 0x40\n vector_64: hlt`);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect(gpr(0)).toBe(0);
  });
});

describe('ports in ring 3', () => {
  test('the I/O bitmap decides, by byte, and past its end everything is #GP', () => {
    enter(
      `${TO_RING3}\n user: in al, 0x60\n mov bl, 1\n in ax, 0x60\n hlt\n vector_13: pop eax\n mov ecx, [esp]\n hlt`,
    );
    descriptor(5, TSS_A, 0x67 + 0x20, 0x8b, 0);
    m.set((s) => {
      s.tr = { ...s.tr, limit: 0x67 + 0x20 };
    });
    u16(TSS_A + 0x66, 0x68);
    m.write(TSS_A + 0x68 + 0x60 / 8, [0xfe, 0xff]);
    expect(m.run()).toEqual({ kind: 'hlt' });
    expect([gpr(0), gpr(3)]).toEqual([0, 1]);
  });
});
