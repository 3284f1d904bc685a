/** Segment limits, rights and loads; LAR, LSL, VERR, VERW, ARPL (SDM vol. 3, chapters 3 and 5). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import {
  ATTR,
  DATA,
  F,
  FREE,
  GDT,
  GDT_LIMIT,
  K32,
  K64,
  KDATA,
  LDT,
  LDTR,
  SPARE,
  STACK,
  TR,
  UDATA,
  V,
} from './layout.js';

/** Protected mode with DS loaded from a descriptor of its own. */
function withDs(base: number, limit: number, attributes: number): Bench {
  const b = machine('protected');
  b.setDescriptor(FREE, base, limit, attributes);
  return b;
}
const LOAD = 'mov ax, FREE\n mov ds, ax\n';
const gp0 = { vector: V.GP, error: 0 };

describe('limits', () => {
  test.each([
    [1, 0x0fff, true],
    [1, 0x1000, false],
    [2, 0x0ffe, true],
    [2, 0x0fff, false],
    [4, 0x0ffc, true],
    [4, 0x0ffd, false],
    [4, 0xffff_fffe, false],
    [16, 0x0ff0, true],
    [16, 0x0ff1, false],
  ])('an access of %i bytes at %i in a segment of 4 KiB', (size, offset, good) => {
    const b = withDs(SPARE, 0xfff, 0x4093);
    b.state.cr4 |= 0x200n;
    const access = { 1: 'mov al, [ebx]', 2: 'mov ax, [ebx]', 4: 'mov eax, [ebx]', 16: 'movups xmm0, [ebx]' }[size];
    const p = b.set({ rbx: offset }).load(`${LOAD} here: ${access}\n hlt`);
    expect(b.run()).toMatchObject(good ? { vector: -1 } : { ...gp0, rip: p.at('here') });
  });

  test.each([
    [0x0fff, 0x4097, false],
    [0x1000, 0x4097, true],
    [0xffff_fffc, 0x4097, true],
    [0xffff_fffd, 0x4097, false],
    [0xfffc, 0x0097, true],
    [0xfffd, 0x0097, false],
    [0x1_0000, 0x0097, false],
  ])('expand-down with limit FFFh: offset %i, attributes %i', (offset, attributes, good) => {
    const b = withDs(SPARE + 0x10000, 0xfff, attributes);
    const p = b.set({ rbx: offset }).load(`${LOAD} here: mov eax, [ebx]\n hlt`);
    expect(b.run()).toMatchObject(good ? { vector: -1 } : { ...gp0, rip: p.at('here') });
  });

  test('granular limits count 4 KiB pages', () => {
    const b = withDs(0, 0x1fff, 0xc093);
    expect(b.go(`${LOAD} mov eax, [0x1ffc]\n mov eax, [0x1ffd]\n hlt`)).toMatchObject(gp0);
    expect(b.state.ds.limit).toBe(0x1fff);
  });

  test('the base is added, modulo 4 GiB', () => {
    const b = withDs(0xffff_f000, 0xffff_ffff, ATTR.data32);
    b.put32(DATA, 0xcafe);
    b.go(`${LOAD} mov eax, [DATA+0x1000]\n hlt`);
    expect(b.reg('rax')).toBe(0xcafen);
  });

  test('stack accesses beyond the limit are #SS(0), pushes leave ESP alone', () => {
    const b = machine('protected');
    b.setDescriptor(FREE, SPARE, 0xfff, 0x4093);
    const p = b.load('mov ax, FREE\n mov ss, ax\n mov esp, 0x1002\n here: push eax\n hlt');
    b.setGate(V.SS, 0, { type: 5, selector: 0x200 });
    b.setGate(V.SS, p.at('here'), { selector: K32 });
    // A handler on the same stack could not push either: look at the double fault's cause instead.
    expect(b.run().exit).toBe('shutdown');
    const c = machine('protected');
    c.setDescriptor(FREE, SPARE, 0xfff, 0x4093);
    const q = c.load('mov ax, FREE\n mov ss, ax\n mov esp, 0x800\n mov ebp, 0xffd\n here: mov eax, [ebp]\n hlt');
    expect(c.run()).toMatchObject({ vector: V.SS, error: 0, rip: q.at('here') });
  });

  test.each(['pop eax', 'ret', 'leave', 'popa', 'iretd', 'retf', 'popfd'])(
    '%s from beyond the stack limit is #SS(0) with ESP as it was',
    (instruction) => {
      const b = machine('protected', { ring: 3 });
      b.setDescriptor(FREE, SPARE, 0xfff, 0x40f3);
      b.state.ss = { selector: FREE | 3, base: BigInt(SPARE), limit: 0xfff, attributes: 0x40f3 };
      b.set({ rsp: 0xffe, rbp: 0xffe });
      const p = b.load(`here: ${instruction}\n hlt`);
      expect(b.run()).toMatchObject({ vector: V.SS, error: 0, rip: p.at('here'), sp: 0xffe, ss: FREE | 3 });
      expect(b.reg('rbp')).toBe(0xffen);
    },
  );

  test.each(['push eax', 'call there', 'pusha', 'enter 16, 0', 'pushfd'])(
    '%s beyond the stack limit is #SS(0) with ESP as it was',
    (instruction) => {
      const b = machine('protected', { ring: 3 });
      b.setDescriptor(FREE, SPARE, 0xfff, 0x40f7); // expand-down: below 1000h nothing is there
      b.state.ss = { selector: FREE | 3, base: BigInt(SPARE), limit: 0xfff, attributes: 0x40f7 };
      b.set({ rsp: 0x1002 });
      const p = b.load(`here: ${instruction}\n there: hlt`);
      expect(b.run()).toMatchObject({ vector: V.SS, error: 0, rip: p.at('here'), sp: 0x1002 });
    },
  );

  test('execution may not run over the limit of CS', () => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0, 0x1_0004, 0x409b);
    const p = b.load('jmp FREE:next\n next: nop\n nop');
    b.setDescriptor(FREE, 0, p.at('next'), 0x409b);
    expect(b.run()).toMatchObject({ ...gp0, rip: p.at('next') + 1, cs: FREE });
  });

  test('an instruction that straddles the limit of CS does not execute', () => {
    const b = machine('protected');
    const p = b.load('jmp FREE:next\n next: mov eax, 5\n hlt');
    b.setDescriptor(FREE, 0, p.at('next') + 3, 0x409b);
    b.set({ rax: 1 });
    expect(b.run()).toMatchObject({ ...gp0, rip: p.at('next') });
    expect(b.reg('rax')).toBe(1n);
  });

  // A processor reports the branch, we the target: the check is made when the target is looked up.
  test.each(['jmp', 'call'])('a near %s beyond the limit of CS is #GP(0)', (branch) => {
    const b = machine('protected');
    const p = b.load(`jmp FREE:next\n next: ${branch} beyond\n zero 64\n beyond: hlt`);
    b.setDescriptor(FREE, 0, p.at('next') + 16, 0x409b);
    expect(b.run()).toMatchObject({ ...gp0, cs: FREE });
  });
});

describe('rights', () => {
  test.each([
    ['a write to read-only data', 0x4091, 'mov [0], eax', gp0],
    ['a read of read-only data', 0x4091, 'mov eax, [0]', { vector: -1 }],
    ['a read-modify-write of read-only data', 0x4091, 'inc dword [0]', gp0],
    ['a read of readable code', 0x409b, 'mov eax, [0]', { vector: -1 }],
    ['a write to readable code', 0x409b, 'mov [0], eax', gp0],
  ])('%s', (_name, attributes, access, expected) => {
    const b = withDs(DATA, 0xffff, attributes);
    expect(b.go(`${LOAD} ${access}\n hlt`)).toMatchObject(expected);
  });

  test('execute-only code cannot be read through CS', () => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0, 0xffff_ffff, 0xc099);
    expect(b.go('jmp FREE:next\n next: mov eax, [cs:DATA]\n hlt')).toMatchObject(gp0);
  });

  test('code cannot be written through CS', () => {
    const b = machine('protected');
    expect(b.go('mov [cs:DATA], eax\n hlt')).toMatchObject(gp0);
  });

  test('a null segment is loaded quietly and faults when used, as #GP(0)', () => {
    const b = machine('protected');
    const p = b.load('xor eax, eax\n mov es, ax\n mov fs, ax\n here: mov al, [fs:0]\n hlt');
    expect(b.run()).toMatchObject({ ...gp0, rip: p.at('here') });
    const c = machine('protected');
    expect(c.go('mov eax, 3\n mov es, ax\n mov edi, DATA\n stosb\n hlt')).toMatchObject(gp0);
    expect(c.state.es.selector).toBe(3);
  });
});

describe('loading segment registers', () => {
  test.each([
    ['a system descriptor', 'ds', LDTR, 0, undefined, { vector: V.GP, error: LDTR }],
    ['execute-only code', 'ds', FREE, 0, 0x4099, { vector: V.GP, error: FREE }],
    ['a descriptor beyond the table', 'ds', GDT_LIMIT + 1, 0, undefined, { vector: V.GP, error: GDT_LIMIT + 1 }],
    ['a data segment that is not present', 'ds', FREE, 0, 0x4013, { vector: V.NP, error: FREE }],
    ['DPL below CPL', 'ds', FREE, 3, 0x4093, { vector: V.GP, error: FREE }],
    ['RPL above DPL', 'ds', FREE | 1, 0, 0x4093, { vector: V.GP, error: FREE }],
    ['RPL 3 for conforming code of DPL 0', 'ds', FREE | 3, 3, 0x409f, { vector: -1 }],
    ['null in SS', 'ss', 0, 0, undefined, { vector: V.GP, error: 0 }],
    ['read-only data in SS', 'ss', FREE, 0, 0x4091, { vector: V.GP, error: FREE }],
    ['code in SS', 'ss', FREE, 0, 0x409b, { vector: V.GP, error: FREE }],
    ['SS with DPL other than CPL', 'ss', FREE, 0, 0x40f3, { vector: V.GP, error: FREE }],
    ['SS with RPL other than CPL', 'ss', FREE | 1, 0, 0x4093, { vector: V.GP, error: FREE }],
    ['an absent stack segment', 'ss', FREE, 0, 0x4013, { vector: V.SS, error: FREE }],
    ['a selector of an absent LDT', 'es', 4, 0, undefined, { vector: V.GP, error: 4 }],
  ])('%s: mov %s', (_name, segment, selector, ring, attributes, expected) => {
    const b = machine('protected', { ring });
    b.state.ldtr = { ...b.state.ldtr, attributes: 0x10082 };
    if (attributes !== undefined) b.setDescriptor(FREE, 0, 0xffff, attributes);
    const p = b.load(`mov eax, ${selector}\n here: mov ${segment}, ax\n int 0x40`);
    expect(b.run()).toMatchObject(expected.vector === -1 ? { vector: 0x40 } : { ...expected, rip: p.at('here') });
  });

  test('MOV CS is #UD', () => {
    expect(machine('protected').go('db 0x8e, 0xc8\n hlt')).toMatchObject({ vector: V.UD });
  });

  test('loading sets the accessed bit in the table', () => {
    const b = withDs(0, 0xffff, 0x4092);
    b.go(`${LOAD} hlt`);
    expect(b.u8(GDT + FREE + 5)).toBe(0x93);
  });

  test('segments come from the LDT that LLDT has loaded', () => {
    const b = machine('protected');
    b.put64(LDT + 8, 0x0040_9310_0000_ffffn);
    expect(b.go('mov ax, LDTR\n lldt ax\n mov ax, 12\n mov es, ax\n sldt cx\n hlt').vector).toBe(-1);
    expect(b.state.es).toMatchObject({ selector: 12, base: 0x10_0000n, limit: 0xffff });
    expect(b.reg('rcx') & 0xffffn).toBe(BigInt(LDTR));
  });

  test.each([
    ['LLDT of something else', 'mov ax, KDATA\n lldt ax', { vector: V.GP, error: KDATA }],
    ['LLDT from an LDT', 'mov ax, 4\n lldt ax', { vector: V.GP, error: 4 }],
    ['LTR of null', 'xor ax, ax\n ltr ax', { vector: V.GP, error: 0 }],
    ['LTR of a busy TSS', 'mov ax, TR\n ltr ax', { vector: V.GP, error: TR }],
    ['LTR of an absent TSS', 'mov ax, FREE\n ltr ax', { vector: V.NP, error: FREE }],
  ])('%s', (_name, source, expected) => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0, 0x67, 0x0009);
    expect(b.go(`${source}\n hlt`)).toMatchObject(expected);
  });

  test('LTR marks the TSS busy, and STR gives its selector', () => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0x9000, 0x67, ATTR.tss32);
    expect(b.go('mov ax, FREE\n ltr ax\n str ecx\n hlt').vector).toBe(-1);
    expect(b.u8(GDT + FREE + 5)).toBe(0x8b);
    expect(b.reg('rcx')).toBe(BigInt(FREE));
    expect(b.state.tr).toMatchObject({ selector: FREE, base: 0x9000n, limit: 0x67, attributes: ATTR.busyTss32 });
  });

  test('LTR and LLDT take 16-byte descriptors in long mode, with a canonical base', () => {
    const b = machine('long');
    b.setDescriptor(FREE, 0x9000, 0x67, ATTR.tss32);
    b.put64(GDT + FREE + 8, 0xffff_8000n);
    expect(b.go('mov ax, FREE\n ltr ax\n hlt').vector).toBe(-1);
    expect(b.state.tr.base).toBe(0xffff_8000_0000_9000n);
    const c = machine('long');
    c.setDescriptor(FREE, 0x9000, 0x67, ATTR.tss32);
    c.put64(GDT + FREE + 8, 0x8000n);
    expect(c.go('mov ax, FREE\n ltr ax\n hlt')).toMatchObject({ vector: V.GP, error: FREE });
  });

  test('in 64-bit mode DS, ES and SS load but their bases and limits do not count', () => {
    const b = machine('long');
    b.setDescriptor(FREE, 0x5000, 0xff, 0x4093);
    b.put32(DATA, 99);
    expect(b.go('mov ax, FREE\n mov ds, ax\n mov ss, ax\n mov eax, [DATA]\n push rax\n hlt').vector).toBe(-1);
    expect(b.reg('rax')).toBe(99n);
  });

  test('in 64-bit mode SS may be null below ring 3', () => {
    const b = machine('long');
    expect(b.go('xor eax, eax\n mov ss, ax\n push rax\n hlt')).toMatchObject({ vector: -1, sp: STACK - 8, ss: 0 });
    const c = machine('long', { ring: 3 });
    expect(c.go('mov eax, 3\n mov ss, ax\n hlt')).toMatchObject({ vector: V.GP, error: 0 });
  });

  test('in 64-bit mode FS and GS bases come from descriptors (32 bits) or MSRs (64 bits)', () => {
    const b = machine('long');
    b.setDescriptor(FREE, DATA, 0xff, 0x4093);
    b.put64(DATA + 8, 0x1122);
    b.put64(SPARE + 8, 0x3344);
    b.set({ rbx: SPARE });
    expect(
      b.go(
        'mov ax, FREE\n mov fs, ax\n mov rsi, [fs:8]\n mov ecx, 0xc0000101\n mov eax, ebx\n xor edx, edx\n wrmsr\n mov rdi, [gs:8]\n hlt',
      ).vector,
    ).toBe(-1);
    expect([b.reg('rsi'), b.reg('rdi')]).toEqual([0x1122n, 0x3344n]);
  });

  test.each(['les', 'lds', 'lfs', 'lgs', 'lss'])('%s loads offset and selector together, or nothing', (name) => {
    const b = machine('protected');
    b.put32(DATA, 0x1234_5678);
    b.put16(DATA + 4, KDATA);
    expect(b.go(`${name} ecx, [DATA]\n hlt`).vector).toBe(-1);
    expect(b.reg('rcx')).toBe(0x1234_5678n);
    const c = machine('protected');
    c.put16(DATA + 4, GDT_LIMIT + 1);
    const p = c.set({ rcx: 5 }).load(`here: ${name} ecx, [DATA]\n hlt`);
    expect(c.run()).toMatchObject({ vector: V.GP, error: GDT_LIMIT + 1, rip: p.at('here') });
    expect(c.reg('rcx')).toBe(5n);
  });

  test('POP of a segment register faults with ESP as it was', () => {
    const b = machine('protected');
    const p = b.load(`push ${GDT_LIMIT + 1}\n here: pop ds\n hlt`);
    expect(b.run()).toMatchObject({ vector: V.GP, error: GDT_LIMIT + 1, rip: p.at('here'), sp: STACK - 4 });
  });
});

describe('LAR, LSL, VERR, VERW, ARPL', () => {
  const zf = (b: Bench) => (Number(b.state.rflags) & F.ZF) !== 0;

  test.each([
    ['data of ring 0', 0, KDATA, 0xcf9300],
    ['data of ring 3 from ring 0', 0, UDATA, 0xcff300],
    ['data of ring 0 from ring 3', 3, KDATA, undefined],
    ['a TSS', 0, TR, 0x008b00],
    ['an LDT', 0, LDTR, 0x008200],
    ['RPL above DPL', 0, KDATA | 3, undefined],
    ['null', 0, 0, undefined],
    ['a selector beyond the table', 0, GDT_LIMIT + 1, undefined],
  ])('LAR of %s', (_name, ring, selector, rights) => {
    const b = machine('protected', { ring });
    b.set({ rax: selector, rcx: 0x5555 });
    b.go('lar ecx, eax\n setz dl\n int 0x40');
    expect(b.reg('rdx') & 0xffn).toBe(rights === undefined ? 0n : 1n);
    // Bits 19:16 are the limit's or not, as the processor likes.
    expect(b.reg('rcx') & 0xfff0_ffffn).toBe(rights === undefined ? 0x5555n : BigInt(rights) & 0xf0_ffffn);
  });

  test.each([
    [5, 0x0500, 'a task gate', true, false],
    [12, 0x0c00, 'a 32-bit call gate', true, false],
    [4, 0x0400, 'a 16-bit call gate', true, false],
    [14, 0, 'an interrupt gate', false, false],
    [1, 0x0100, 'a 16-bit TSS', true, true],
    [9, 0x0900, 'a 32-bit TSS', true, true],
  ])('type %i: LAR and LSL know what they may look at', (type, _rights, _name, lar, lsl) => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0, 0x123, 0x80 | type);
    b.set({ rax: FREE, rcx: 0, rdx: 0 }).go('lar ecx, eax\n setz bl\n lsl edx, eax\n setz bh\n hlt');
    expect(b.reg('rbx') & 0xffffn).toBe((lar ? 1n : 0n) | (lsl ? 0x100n : 0n));
    expect(b.reg('rdx')).toBe(lsl ? 0x123n : 0n);
  });

  test('LSL gives the limit in bytes', () => {
    const b = machine('protected');
    b.set({ rax: K32 }).go('lsl ecx, eax\n hlt');
    expect(b.reg('rcx')).toBe(0xffff_ffffn);
    expect(zf(b)).toBe(true);
  });

  test('in long mode LAR and LSL know only 64-bit system types', () => {
    const b = machine('long');
    b.setDescriptor(FREE, 0, 0x123, 0x81);
    b.set({ rax: FREE }).go('lar ecx, eax\n setz bl\n lsl edx, eax\n setz bh\n hlt');
    expect(b.reg('rbx') & 0xffffn).toBe(0n);
    const c = machine('long');
    c.set({ rax: K64 }).go('lar ecx, eax\n hlt');
    expect(c.reg('rcx') & 0xfff0_ffffn).toBe(0xa09b00n);
  });

  test.each([
    ['writable data', 0x4093, 0, 1, 1],
    ['read-only data', 0x4091, 0, 1, 0],
    ['readable code', 0x409b, 0, 1, 0],
    ['execute-only code', 0x4099, 0, 0, 0],
    ['ring 0 data from ring 3', 0x4093, 3, 0, 0],
    ['ring 0 conforming code from ring 3', 0x409f, 3, 1, 0],
    ['a system segment', 0x0082, 0, 0, 0],
    ['absent data', 0x4013, 0, 1, 1],
  ])('VERR and VERW of %s', (_name, attributes, ring, readable, writable) => {
    const b = machine('protected', { ring });
    b.setDescriptor(FREE, 0, 0xffff, attributes);
    b.set({ rax: FREE, rbx: 0 }).go('verr ax\n setz bl\n verw ax\n setz bh\n int 0x40');
    expect(b.reg('rbx')).toBe(BigInt(readable | (writable << 8)));
  });

  test('ARPL raises RPL and says so in ZF', () => {
    const b = machine('protected');
    b.set({ rax: 0x11, rcx: 3, rdx: 0x13, rbx: 0, rsi: 1 });
    b.go('arpl ax, cx\n setz bl\n arpl dx, si\n setz bh\n hlt');
    expect([b.reg('rax'), b.reg('rdx'), b.reg('rbx')]).toEqual([0x13n, 0x13n, 1n]);
  });
});

describe('descriptor table registers', () => {
  test.each([
    ['protected', 6],
    ['long', 10],
  ] as const)('SGDT and SIDT store what LGDT and LIDT have loaded in %s mode', (mode, size) => {
    const b = machine(mode);
    b.put16(DATA, GDT_LIMIT);
    b.put64(DATA + 2, GDT);
    b.write(DATA + 0x100, new Uint8Array(32).fill(0xcc));
    expect(b.go(`lgdt [DATA]\n sgdt [DATA+0x100]\n sidt [DATA+0x110]\n hlt`).vector).toBe(-1);
    expect(b.u16(DATA + 0x100)).toBe(GDT_LIMIT);
    expect(b.u32(DATA + 0x102)).toBe(GDT);
    expect(b.u8(DATA + 0x100 + size - 1)).toBe(0);
    expect(b.u8(DATA + 0x100 + size)).toBe(0xcc);
    expect(b.u16(DATA + 0x110)).toBe(mode === 'long' ? 0xfff : 0x7ff);
  });

  test('LGDT with a 16-bit operand takes 24 bits of base', () => {
    const b = machine('protected');
    b.put16(DATA, 0x3f);
    b.put32(DATA + 2, 0xab00_1000);
    b.go('db 0x66\n lgdt [DATA]\n hlt');
    expect(b.state.gdtr).toEqual({ base: 0x1000n, limit: 0x3f });
  });

  test('LGDT of a non-canonical base is #GP(0), and in ring 3 any LGDT is', () => {
    const b = machine('long');
    b.put64(DATA + 2, 0x8000_0000_0000_0000n);
    expect(b.go('lgdt [DATA]\n hlt')).toMatchObject(gp0);
    expect(machine('long', { ring: 3 }).go('lgdt [USER_DATA]\n hlt')).toMatchObject(gp0);
    expect(machine('protected', { ring: 3 }).go('lidt [USER_DATA]\n hlt')).toMatchObject(gp0);
  });

  test.each(['sgdt [USER_DATA]', 'sidt [USER_DATA]', 'sldt ax', 'str ax', 'smsw ax'])(
    '%s in ring 3 is #GP(0) under UMIP only',
    (instruction) => {
      for (const umip of [0n, 0x800n]) {
        const b = machine('long', { ring: 3 });
        b.state.cr4 |= umip;
        expect(b.go(`${instruction}\n int 0x40`)).toMatchObject(umip ? gp0 : { vector: 0x40 });
      }
    },
  );
});
