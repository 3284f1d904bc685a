/** Hardware task switches by JMP, CALL, INT and IRET (SDM vol. 3, chapter 7). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import {
  ATTR,
  CR0,
  DATA,
  F,
  FREE,
  GDT,
  GDT_LIMIT,
  gate,
  K32,
  KDATA,
  LDTR,
  STACK,
  TR,
  TSS,
  TSS2,
  U32,
  UDATA,
  V,
} from './layout.js';

/** Offsets in a 32-bit TSS. */
const T = {
  link: 0,
  cr3: 0x1c,
  eip: 0x20,
  eflags: 0x24,
  eax: 0x28,
  ecx: 0x2c,
  esp: 0x38,
  es: 0x48,
  cs: 0x4c,
  ss: 0x50,
  ds: 0x54,
  fs: 0x58,
  gs: 0x5c,
  ldt: 0x60,
  trap: 0x64,
};
const NEW = FREE;
const TASK_GATE = FREE + 8;

/** A second task at TSS2 that starts at `eip`, with its own stack. */
function secondTask(b: Bench, eip: number, changes: Partial<Record<keyof typeof T, number>> = {}): void {
  b.setDescriptor(NEW, TSS2, 0x67, ATTR.tss32);
  b.put64(GDT + TASK_GATE, gate(NEW, 0, { type: 5, dpl: 3 }));
  const values = {
    eip,
    eflags: 2,
    eax: 0xaaa,
    ecx: 0xccc,
    esp: 0x6800,
    es: KDATA,
    cs: K32,
    ss: KDATA,
    ds: KDATA,
    fs: 0,
    gs: KDATA,
    ...changes,
  };
  for (const [name, value] of Object.entries(values)) b.put32(TSS2 + T[name as keyof typeof T], value);
}

const busy = (b: Bench, selector: number) => (b.u8(GDT + selector + 5) & 2) !== 0;
const HERE = 0x11000;

describe('task switches', () => {
  test.each(['NEW', 'TASK_GATE'])('JMP to %s saves the old task, loads the new one, moves the busy bit', (how) => {
    const b = machine('protected');
    b.load('hlt', HERE);
    secondTask(b, HERE);
    b.state.fs = { ...b.state.fs, selector: UDATA };
    b.set({ rax: 0x1234_5678, rsi: 0x9999 });
    const p = b.load(`jmp ${how === 'NEW' ? NEW : TASK_GATE}:0\n after: hlt`);
    expect(b.run()).toMatchObject({ vector: -1, rip: HERE + 1, cs: K32, ss: KDATA, sp: 0x6800, flags: 2 });
    expect([b.reg('rax'), b.reg('rcx')]).toEqual([0xaaan, 0xcccn]);
    expect(b.state.tr).toMatchObject({ selector: NEW, base: BigInt(TSS2), limit: 0x67, attributes: ATTR.busyTss32 });
    expect([busy(b, TR), busy(b, NEW)]).toEqual([false, true]);
    expect(b.u32(TSS + T.eip)).toBe(p.at('after'));
    expect(b.u32(TSS + T.eflags)).toBe(2);
    expect(b.u32(TSS + T.eax)).toBe(0x1234_5678);
    expect(b.u32(TSS + T.esp)).toBe(STACK);
    expect([T.cs, T.ss, T.fs].map((at) => b.u16(TSS + at))).toEqual([K32, KDATA, UDATA]);
    expect(b.state.cr0 & CR0.TS).toBe(CR0.TS);
    expect(b.u16(TSS2 + T.link), 'JMP leaves no link').toBe(0);
  });

  test('CALL nests: link, NT and both tasks busy; IRET comes back', () => {
    const b = machine('protected');
    const inner = b.load('pushfd\n pop ebx\n mov [DATA], ebx\n iretd\n again: hlt', HERE);
    secondTask(b, HERE);
    b.set({ rax: 5 });
    const p = b.load(`call ${NEW}:0\n after: hlt`);
    expect(b.run()).toMatchObject({ vector: -1, rip: p.at('after') + 1, sp: STACK, flags: 2 });
    expect(b.u32(DATA)).toBe(2 | F.NT);
    expect(b.u16(TSS2 + T.link)).toBe(TR);
    expect([busy(b, TR), busy(b, NEW)]).toEqual([true, false]);
    expect(b.reg('rax')).toBe(5n);
    expect(b.u32(TSS2 + T.eip)).toBe(inner.at('again'));
    expect(b.u32(TSS2 + T.eflags), 'IRET clears NT in what it saves').toBe(2);
    expect(b.state.tr.selector).toBe(TR);
  });

  test('while nested, the outer task stays busy', () => {
    const b = machine('protected');
    b.load('hlt', HERE);
    secondTask(b, HERE);
    b.go(`call ${NEW}:0`);
    expect([busy(b, TR), busy(b, NEW)]).toEqual([true, true]);
    expect(Number(b.state.rflags) & F.NT).toBe(F.NT);
  });

  test('an interrupt through a task gate switches, IRET returns behind INT n', () => {
    const b = machine('protected', { ring: 3 });
    b.load('mov eax, cs\n iretd', HERE);
    secondTask(b, HERE);
    b.setGate(0x50, 0, { type: 5, selector: NEW, dpl: 3 });
    expect(b.go('int 0x50\n int 0x40')).toMatchObject({ vector: 0x40, cs: U32, ss: UDATA });
    expect(b.u32(TSS2 + T.eax)).toBe(K32);
  });

  test('an exception through a task gate pushes its error code on the new stack', () => {
    const b = machine('protected');
    b.load('pop ecx\n hlt', HERE);
    secondTask(b, HERE);
    b.setGate(V.GP, 0, { type: 5, selector: NEW });
    const p = b.load(`mov ax, ${GDT_LIMIT + 1}\n here: mov ds, ax\n hlt`);
    expect(b.run()).toMatchObject({ vector: -1, rip: HERE + 2, sp: 0x6800 });
    expect(b.reg('rcx')).toBe(BigInt(GDT_LIMIT + 1));
    expect(b.u32(TSS + T.eip), 'the old task restarts the instruction').toBe(p.at('here'));
  });

  test('a double fault through a task gate works with a broken stack', () => {
    const b = machine('protected');
    b.load('pop ecx\n hlt', HERE);
    secondTask(b, HERE);
    b.setGate(V.DF, 0, { type: 5, selector: NEW });
    b.setDescriptor(FREE + 16, 0, 0xfff, 0x4093);
    expect(b.go(`mov ax, ${FREE + 16}\n mov ss, ax\n mov esp, 0x2000\n push eax`)).toMatchObject({
      vector: -1,
      rip: HERE + 2,
      sp: 0x6800,
    });
    expect(b.reg('rcx')).toBe(0n);
  });

  test.each([
    [
      'a busy task by JMP',
      (b: Bench) => b.setDescriptor(NEW, TSS2, 0x67, ATTR.busyTss32),
      'jmp 0x80:0',
      { vector: V.GP, error: NEW },
    ],
    [
      'an absent TSS',
      (b: Bench) => b.setDescriptor(NEW, TSS2, 0x67, 0x0009),
      'call 0x80:0',
      { vector: V.NP, error: NEW },
    ],
    [
      'a TSS that is too small',
      (b: Bench) => b.setDescriptor(NEW, TSS2, 0x66, ATTR.tss32),
      'call 0x80:0',
      { vector: V.TS, error: NEW },
    ],
    ['a TSS of DPL 0 from RPL 3', () => {}, 'call 0x83:0', { vector: V.GP, error: NEW }],
    [
      'a task gate to something else',
      (b: Bench) => b.put64(GDT + TASK_GATE, gate(KDATA, 0, { type: 5 })),
      'call 0x88:0',
      { vector: V.GP, error: KDATA },
    ],
    [
      'a task gate into the LDT',
      (b: Bench) => b.put64(GDT + TASK_GATE, gate(0x14, 0, { type: 5 })),
      'call 0x88:0',
      { vector: V.GP, error: 0x14 },
    ],
    [
      'an absent task gate',
      (b: Bench) => b.put64(GDT + TASK_GATE, gate(NEW, 0, { type: 5, present: false })),
      'call 0x88:0',
      { vector: V.NP, error: TASK_GATE },
    ],
    [
      'IRET with NT to a task that is not busy',
      (b: Bench) => b.put16(TSS, NEW),
      'push 0x4002\n popfd\n iretd',
      { vector: V.TS, error: NEW },
    ],
    [
      'INT n to a busy task',
      (b: Bench) => b.setGate(0x50, 0, { type: 5, selector: TR }),
      'int 0x50',
      { vector: V.GP, error: TR },
    ],
    ['JMP to itself', () => {}, 'jmp 0x58:0', { vector: V.GP, error: TR }],
  ] as const)('%s is refused before anything changes', (_name, change, source, expected) => {
    const b = machine('protected');
    secondTask(b, HERE);
    change(b);
    const out = b.go(`${source}\n hlt`);
    expect(out).toMatchObject(expected);
    expect(b.state.tr.selector).toBe(TR);
    expect(b.state.cr0 & CR0.TS).toBe(0n);
  });

  test("faults in the new task are the new task's", () => {
    for (const [change, expected] of [
      [{ cs: KDATA }, { vector: V.TS, error: KDATA }],
      [{ cs: 0 }, { vector: V.TS, error: 0 }],
      [{ ss: 0 }, { vector: V.TS, error: 0 }],
      [{ ss: K32 }, { vector: V.TS, error: K32 }],
      [{ ds: LDTR }, { vector: V.TS, error: LDTR }],
      [{ ldt: KDATA }, { vector: V.TS, error: KDATA }],
      [{ es: FREE + 16 }, { vector: V.NP, error: FREE + 16 }],
    ] as const) {
      const b = machine('protected');
      b.setDescriptor(FREE + 16, 0, 0xffff, 0x4013);
      secondTask(b, HERE, change);
      // The handlers are a task of their own, for the new one may lack a stack.
      b.setDescriptor(FREE + 24, 0x9800, 0x67, ATTR.tss32);
      for (const [name, value] of Object.entries({
        eip: 0x11100,
        eflags: 2,
        esp: 0x6400,
        cs: K32,
        ss: KDATA,
        ds: KDATA,
        es: KDATA,
      }))
        b.put32(0x9800 + T[name as keyof typeof T], value);
      b.setGate(expected.vector, 0, { type: 5, selector: FREE + 24 });
      b.load('pop ecx\n hlt', 0x11100);
      expect(b.go(`jmp ${NEW}:0`), JSON.stringify(change)).toMatchObject({ vector: -1, rip: 0x11102 });
      expect(Number(b.reg('rcx')), JSON.stringify(change)).toBe(expected.error);
      expect(b.u16(0x9800)).toBe(NEW);
      expect(b.u32(TSS2 + T.eip), 'at the first instruction of the new task').toBe(HERE);
    }
  });

  test('the new task may be in ring 3, or in v8086 mode', () => {
    const b = machine('protected');
    b.load('int 0x40', 0x40000);
    secondTask(b, 0x40000, { cs: U32, ss: UDATA, ds: UDATA, es: UDATA, gs: 0, esp: 0x60000 });
    b.put32(TSS2 + 4, 0x6000);
    b.put32(TSS2 + 8, KDATA);
    expect(b.go(`jmp ${NEW}:0`)).toMatchObject({ vector: 0x40, cs: U32, ss: UDATA, sp: 0x60000 });

    const c = machine('protected');
    c.write(0x18000, [0xcd, 0x40]);
    secondTask(c, 0, { cs: 0x1800, ss: 0x1000, ds: 0x2000, es: 0, gs: 0, esp: 0xfffe, eflags: F.VM | 0x3002 });
    c.put32(TSS2 + 4, 0x6000);
    c.put32(TSS2 + 8, KDATA);
    expect(c.go(`jmp ${NEW}:0`)).toMatchObject({
      vector: 0x40,
      cs: 0x1800,
      ss: 0x1000,
      sp: 0xfffe,
      rip: 2,
      flags: F.VM | 0x3002,
    });
  });

  test('the T bit raises #DB with DR6.BT once the new task has begun', () => {
    const b = machine('protected');
    b.load('hlt', HERE);
    secondTask(b, HERE, { trap: 1 });
    expect(b.go(`jmp ${NEW}:0`)).toMatchObject({ vector: V.DB, rip: HERE });
    expect(Number(b.state.dr[4]) & 0xe00f).toBe(0x8000);
  });

  test('CR3 and the LDT come from the new TSS', () => {
    const b = machine('protected', { paging: '32' });
    b.write(0xf000, b.engine.memory.view(0xa000, 0x1000));
    b.load('mov ax, 0xc\n mov fs, ax\n mov edx, cr3\n hlt', HERE);
    b.put64(0x8008, 0x00cf_9300_0000_ffffn);
    secondTask(b, HERE, { cr3: 0xf000, ldt: LDTR });
    expect(b.go(`jmp ${NEW}:0`).vector).toBe(-1);
    expect(b.reg('rdx')).toBe(0xf000n);
    expect(b.state.ldtr).toMatchObject({ selector: LDTR, base: 0x8000n });
    expect(b.state.fs.selector).toBe(0xc);
  });

  test('a page fault while the new TSS is read leaves the old task running', () => {
    const b = machine('protected', { paging: '32' });
    secondTask(b, HERE);
    b.map(TSS2, TSS2, 0);
    const p = b.load(`here: jmp ${NEW}:0`);
    expect(b.run()).toMatchObject({ vector: V.PF, error: 0, rip: p.at('here') });
    expect(b.state.tr.selector).toBe(TR);
    expect(busy(b, NEW)).toBe(false);
  });

  test('16-bit tasks save and load words', () => {
    const b = machine('protected');
    b.setDescriptor(TR, TSS, 0x2b, ATTR.tss16 | 2);
    b.state.tr = { selector: TR, base: BigInt(TSS), limit: 0x2b, attributes: ATTR.tss16 | 2 };
    b.setDescriptor(NEW, TSS2, 0x2b, ATTR.tss16);
    b.setDescriptor(FREE + 16, 0x10000, 0xffff, ATTR.code16);
    for (const [at, value] of [
      [0x0e, 0x1000],
      [0x10, 0x0002],
      [0x12, 0x1111],
      [0x1a, 0x6800],
      [0x22, KDATA],
      [0x24, FREE + 16],
      [0x26, KDATA],
      [0x28, KDATA],
    ])
      b.put16(TSS2 + at, value);
    b.load('hlt', HERE);
    b.set({ rax: 0x8765_4321, rdx: 0x9999 });
    const p = b.load(`jmp ${NEW}:0\n after: hlt`);
    expect(b.run()).toMatchObject({ vector: -1, rip: 0x1001, cs: FREE + 16 });
    expect(Number(b.reg('rax')) & 0xffff).toBe(0x1111);
    expect(b.u16(TSS + 0x0e)).toBe(p.at('after') & 0xffff);
    expect(b.u16(TSS + 0x12)).toBe(0x4321);
    expect(b.u16(TSS + 0x24)).toBe(K32);
    expect(b.state.fs.selector).toBe(0);
  });
});
