/** Far JMP, CALL, RET and IRET between rings and segments, call gates (SDM vol. 3, 5.8; vol. 2). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import {
  ATTR,
  DATA,
  EFER,
  FREE,
  GDT,
  GDT_LIMIT,
  gate,
  K16,
  K32,
  K64,
  KDATA,
  LDT,
  LDTR,
  RING0_STACK,
  STACK,
  TSS,
  U32,
  U64,
  UDATA,
  USER_CODE,
  USER_STACK,
  V,
} from './layout.js';

const gp = (error: number) => ({ vector: V.GP, error });
const np = (error: number) => ({ vector: V.NP, error });
const CONFORMING = 0xc09f;

describe('direct far jumps and calls in protected mode', () => {
  test('a far call pushes CS and EIP, a far return takes them back', () => {
    const b = machine('protected');
    const p = b.load('call K32:there\n after: hlt\n there: mov ecx, [esp]\n mov edx, [esp+4]\n retfd');
    expect(b.run()).toMatchObject({ vector: -1, rip: p.at('after') + 1, sp: STACK });
    expect([b.reg('rcx'), b.reg('rdx')]).toEqual([BigInt(p.at('after')), BigInt(K32)]);
  });

  test('RETF imm16 drops parameters after the address', () => {
    const b = machine('protected');
    expect(b.go('push 1\n push 2\n call K32:there\n hlt\n there: retfd 8')).toMatchObject({ vector: -1, sp: STACK });
  });

  test('16-bit far calls push words', () => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0x10000, 0xffff, ATTR.code16);
    const p = b.load('db 0x66\n db 0x9a\n dw there-CODE, FREE\n after: hlt\n bits 16\n there: retfw');
    // The word return goes to K32 at a 16-bit offset: only the pushed frame matters here.
    b.run(2);
    expect(b.u16(STACK - 2)).toBe(K32);
    expect(b.u16(STACK - 4)).toBe(p.at('after') & 0xffff);
  });

  test.each([
    ['null', 0, undefined, 0, gp(0)],
    ['data', KDATA, undefined, 0, gp(KDATA)],
    ['beyond the table', GDT_LIMIT + 1, undefined, 0, gp(GDT_LIMIT + 1)],
    ['absent code', FREE, 0x401b, 0, np(FREE)],
    ['inner code', FREE, 0xc09b, 3, gp(FREE)],
    ['outer code', FREE | 3, 0xc0fb, 0, gp(FREE)],
    ['RPL above CPL', FREE | 3, 0xc09b, 0, gp(FREE)],
    ['outer conforming code', FREE, 0xc0ff, 0, gp(FREE)],
    ['an offset beyond the limit', FREE, 0x409b, 0, gp(0)],
    ['an interrupt gate', FREE, 0x008e, 0, gp(FREE)],
    ['an LDT', LDTR, undefined, 0, gp(LDTR)],
  ])('JMP and CALL to %s', (_name, selector, attributes, ring, expected) => {
    for (const instruction of ['jmp', 'call']) {
      const b = machine('protected', { ring });
      if (attributes !== undefined) b.setDescriptor(FREE, 0, attributes & 0x8000 ? 0xffff_ffff : 0xfff, attributes);
      const p = b.load(`nop\n here: ${instruction} ${selector}:there\n there: hlt`);
      expect(b.run()).toMatchObject({ ...expected, rip: p.at('here'), sp: ring ? USER_STACK : STACK });
    }
  });

  test("conforming code of an inner ring runs at the caller's privilege", () => {
    const b = machine('protected', { ring: 3 });
    b.setDescriptor(FREE, 0, 0xffff_ffff, CONFORMING);
    expect(b.go('call FREE:there\n there: mov eax, cs\n int 0x40')).toMatchObject({
      vector: 0x40,
      cs: FREE | 3,
      ss: UDATA,
    });
    expect(b.reg('rax')).toBe(BigInt(FREE | 3));
  });

  test('the accessed bit of the code descriptor is set', () => {
    const b = machine('protected');
    b.setDescriptor(FREE, 0, 0xffff_ffff, 0xc09a);
    b.go('jmp FREE:there\n there: hlt');
    expect(b.u8(GDT + FREE + 5)).toBe(0x9b);
  });

  test('far jumps through memory take 16:16, 16:32 and, with REX.W, 16:64 pointers', () => {
    const b = machine('protected');
    const p = b.load('jmp far dword [DATA]\n hlt\n there: mov eax, 7\n hlt');
    b.put32(DATA, p.at('there'));
    b.put16(DATA + 4, K32);
    expect(b.run().vector).toBe(-1);
    expect(b.reg('rax')).toBe(7n);
    const c = machine('long');
    const q = c.load('jmp far qword [DATA]\n hlt\n there: mov eax, 8\n hlt');
    c.put64(DATA, q.at('there'));
    c.put16(DATA + 8, K64);
    expect(c.run().vector).toBe(-1);
    expect(c.reg('rax')).toBe(8n);
  });

  test('direct far jumps are #UD in 64-bit mode', () => {
    expect(machine('long').go('db 0xea\n hlt').vector).toBe(V.UD);
    expect(machine('long').go('db 0x9a\n hlt').vector).toBe(V.UD);
  });

  test('code with both L and D is refused in long mode', () => {
    const b = machine('long');
    b.setDescriptor(FREE, 0, 0xffff_ffff, 0xe09b);
    b.put16(DATA + 4, FREE);
    expect(b.go('jmp far dword [DATA]\n hlt')).toMatchObject(gp(FREE));
  });

  test('a 64-bit far jump to a non-canonical address is #GP(0)', () => {
    const b = machine('long');
    b.put64(DATA, 0x8000_0000_0000_0000n);
    b.put16(DATA + 8, K64);
    expect(b.go('jmp far qword [DATA]\n hlt')).toMatchObject(gp(0));
  });
});

describe('call gates in protected mode', () => {
  function withGate(b: Bench, target: number, options: Parameters<typeof gate>[2] = {}, selector = K32): void {
    b.put64(GDT + FREE, gate(selector, target, { type: 12, dpl: 3, ...options }));
  }

  test('a call from ring 3 switches stacks, copies parameters, and RETF n returns', () => {
    const b = machine('protected', { ring: 3 });
    const inner = b.load(
      'mov eax, [esp+8]\n mov ebx, [esp+12]\n mov edx, cs\n mov esi, ss\n mov edi, esp\n retfd 8',
      0x11000,
    );
    withGate(b, inner.origin, { count: 2 });
    const p = b.load('push 0x111\n push 0x222\n call FREE:0\n after: int 0x40');
    expect(b.run()).toMatchObject({ vector: 0x40, cs: U32, ss: UDATA, sp: USER_STACK });
    expect([b.reg('rax'), b.reg('rbx'), b.reg('rdx'), b.reg('rsi')]).toEqual([
      0x222n,
      0x111n,
      BigInt(K32),
      BigInt(KDATA),
    ]);
    expect(b.reg('rdi')).toBe(BigInt(RING0_STACK - 24));
    const frame = [0, 1, 2, 3, 4, 5].map((i) => b.u32(RING0_STACK - 24 + i * 4));
    // INT 40h has pushed its own frame over the upper end.
    expect(frame[0]).toBe(p.at('after'));
  });

  test('the frame on the inner stack is SS, ESP, parameters, CS, EIP', () => {
    const b = machine('protected', { ring: 3 });
    const inner = b.load('hlt', 0x11000);
    withGate(b, inner.origin, { count: 1 });
    const p = b.load('push 0x77\n call FREE:0\n after: int 0x40');
    expect(b.run()).toMatchObject({ vector: -1, cs: K32, ss: KDATA, sp: RING0_STACK - 20 });
    expect([0, 1, 2, 3, 4].map((i) => b.u32(RING0_STACK - 20 + i * 4))).toEqual([
      p.at('after'),
      U32,
      0x77,
      USER_STACK - 4,
      UDATA,
    ]);
  });

  test('a 16-bit gate pushes words and uses 16 bits of the offset', () => {
    const b = machine('protected', { ring: 3 });
    b.setDescriptor(FREE + 8, 0x10000, 0xffff, 0x409b);
    b.load('hlt', 0x11000);
    b.put64(GDT + FREE, gate(FREE + 8, 0xabcd_1000, { type: 4, dpl: 3, count: 1 }));
    const p = b.load('push word 0x77\n call FREE:0\n after: int 0x40');
    expect(b.run()).toMatchObject({ vector: -1, cs: FREE + 8, sp: RING0_STACK - 10 });
    expect([0, 1, 2, 3, 4].map((i) => b.u16(RING0_STACK - 10 + i * 2))).toEqual([
      p.at('after') & 0xffff,
      U32,
      0x77,
      (USER_STACK - 2) & 0xffff,
      UDATA,
    ]);
  });

  test('from the same ring, or to conforming code, the stack stays', () => {
    const b = machine('protected');
    withGate(b, b.load('hlt', 0x11000).origin, { count: 3 });
    expect(b.go('call FREE:0')).toMatchObject({ vector: -1, sp: STACK - 8 });
    const c = machine('protected', { ring: 3 });
    c.setDescriptor(FREE + 8, 0, 0xffff_ffff, CONFORMING);
    withGate(c, c.load('int 0x40', 0x41000).origin, {}, FREE + 8);
    expect(c.go('call FREE:0')).toMatchObject({ vector: 0x40, cs: (FREE + 8) | 3, sp: USER_STACK - 8 });
  });

  test.each([
    ['DPL below CPL', 3, { dpl: 0 }, K32, FREE, gp(FREE)],
    ['DPL below RPL', 0, { dpl: 0 }, K32, FREE | 3, gp(FREE)],
    ['an absent gate', 3, { present: false }, K32, FREE, np(FREE)],
    ['null inside', 3, {}, 0, FREE, gp(0)],
    ['data inside', 3, {}, KDATA, FREE, gp(KDATA)],
    ['outer code inside', 0, {}, U32, FREE, gp(U32 & ~3)],
  ] as const)('a gate with %s', (_name, ring, options, target, selector, expected) => {
    const b = machine('protected', { ring });
    withGate(b, 0x11000, options, target);
    const p = b.load(`here: call ${selector}:0`);
    expect(b.run()).toMatchObject({ ...expected, rip: p.at('here') });
  });

  test('a jump through a gate cannot raise privilege', () => {
    const b = machine('protected', { ring: 3 });
    withGate(b, 0x11000);
    expect(b.go('jmp FREE:0')).toMatchObject(gp(K32));
  });

  test.each([
    ['null', 0, { vector: V.TS, error: 0 }],
    ['code', K32, { vector: V.TS, error: K32 }],
    ['outer data', UDATA, { vector: V.TS, error: UDATA & ~3 }],
    ['absent data', FREE + 8, { vector: V.SS, error: FREE + 8 }],
    ['beyond the table', GDT_LIMIT + 1, { vector: V.TS, error: GDT_LIMIT + 1 }],
  ])('an inner stack segment that is %s', (_name, ss, expected) => {
    const b = machine('protected', { ring: 3 });
    b.setDescriptor(FREE + 8, 0, 0xffff_ffff, 0xc013);
    // The exceptions' handlers stay in ring 3: they would find no stack either.
    b.setDescriptor(FREE + 16, 0, 0xffff_ffff, CONFORMING);
    for (const v of [V.TS, V.SS, V.GP]) b.setGate(v, 0x41000 + v * 16, { selector: FREE + 16 });
    for (const v of [V.TS, V.SS, V.GP]) b.load(`mov ecx, ${v}\n pop ebx\n stay: jmp stay`, 0x41000 + v * 16);
    withGate(b, 0x11000);
    b.put32(TSS + 8, ss);
    b.load('call FREE:0');
    b.run(20);
    expect([Number(b.reg('rcx')), Number(b.reg('rbx'))]).toEqual([expected.vector, expected.error]);
  });

  test('a TSS too short for the inner stack is #TS with its selector', () => {
    const b = machine('protected', { ring: 3 });
    b.state.tr = { ...b.state.tr, limit: 8 };
    b.setDescriptor(FREE + 16, 0, 0xffff_ffff, CONFORMING);
    b.setGate(V.TS, 0x41000, { selector: FREE + 16 });
    b.load('pop ebx\n jmp 0x41001', 0x41000);
    withGate(b, 0x11000);
    b.load('call FREE:0');
    b.run(20);
    expect(b.reg('rbx')).toBe(0x58n);
  });
});

describe('call gates in long mode', () => {
  test('a call from ring 3 pushes SS, RSP, CS, RIP as quadwords; 16-byte gate, null SS', () => {
    const b = machine('long', { ring: 3 });
    b.load('hlt', 0x11000);
    b.put64(GDT + FREE, gate(K64, 0x11000, { type: 12, dpl: 3, count: 5 }));
    const p = b.load('call far dword [pointer]\n after: int 0x40\n pointer: dd 0\n dw FREE');
    expect(b.run()).toMatchObject({ vector: -1, cs: K64, ss: 0, sp: RING0_STACK - 32 });
    expect([0, 1, 2, 3].map((i) => Number(b.u64(RING0_STACK - 32 + i * 8)))).toEqual([
      p.at('after'),
      U64,
      USER_STACK,
      UDATA,
    ]);
  });

  test('RETFQ returns to ring 3', () => {
    const b = machine('long', { ring: 3 });
    b.load('mov eax, cs\n retfq', 0x11000);
    b.put64(GDT + FREE, gate(K64, 0x11000, { type: 12, dpl: 3 }));
    expect(b.go('call far dword [pointer]\n int 0x40\n pointer: dd 0\n dw FREE')).toMatchObject({
      vector: 0x40,
      cs: U64,
      ss: UDATA,
      sp: USER_STACK,
    });
    expect(b.reg('rax')).toBe(BigInt(K64));
  });

  test.each([
    ['compatibility code', K32, 0n, gp(K32)],
    ['a type in its upper half', K64, 0x0100_0000_0000n, gp(FREE)],
    ['a non-canonical target', K64, 0x8000n, gp(0)],
  ])('a gate with %s is refused', (_name, selector, high, expected) => {
    const b = machine('long');
    b.put64(GDT + FREE, gate(selector, 0x11000, { type: 12 }));
    b.put64(GDT + FREE + 8, high);
    expect(b.go('call far dword [pointer]\n pointer: dd 0\n dw FREE')).toMatchObject(expected);
  });

  test('16-bit gates and task switches are #GP', () => {
    for (const type of [4, 5, 9]) {
      const b = machine('long');
      b.put64(GDT + FREE, gate(K64, 0x11000, { type }));
      expect(b.go('call far dword [pointer]\n pointer: dd 0\n dw FREE')).toMatchObject(gp(FREE));
    }
  });
});

describe('returns to outer rings', () => {
  test('RETF from ring 0 to 3 loads SS:ESP and drops segments that ring 3 may not have', () => {
    const b = machine('protected');
    b.state.fs = { ...b.state.fs, selector: UDATA, attributes: ATTR.userData };
    const p = b.load(`push UDATA\n push USER_STACK\n push U32\n push ${USER_CODE}\n retfd`);
    b.load('int 0x40', USER_CODE);
    expect(p.bytes.length).toBeGreaterThan(0);
    expect(b.run()).toMatchObject({ vector: 0x40, cs: U32, ss: UDATA, sp: USER_STACK });
    expect([b.state.ds.selector, b.state.es.selector, b.state.gs.selector, b.state.fs.selector]).toEqual([
      0,
      0,
      0,
      UDATA,
    ]);
  });

  test.each([
    ['an inner CS', KDATA, K32, gp(K32), 3],
    ['null CS', UDATA, 0, gp(0), 0],
    ['data in CS', UDATA, KDATA, gp(KDATA), 0],
    ['RPL other than DPL', UDATA, K32 | 3, gp(K32), 0],
    ['null SS', 0, U32, gp(0), 0],
    ['SS of another RPL', KDATA, U32, gp(KDATA), 0],
    ['code in SS', U32, U32, gp(U32 & ~3), 0],
    ['CS beyond the table', UDATA, GDT_LIMIT | 3, gp(GDT_LIMIT & ~3), 0],
  ])('RETF and IRETD with %s', (_name, ss, cs, expected, ring) => {
    for (const [instruction, flags] of [
      ['retfd', ''],
      ['iretd', 'push 2\n'],
    ]) {
      const b = machine('protected', { ring });
      b.setDescriptor(GDT_LIMIT & 0xfff8, 0, 0, 0);
      b.state.gdtr = { base: BigInt(GDT), limit: 0x3f7 };
      const p = b.load(`push ${ss}\n push USER_STACK\n ${flags} push ${cs}\n push ${USER_CODE}\n here: ${instruction}`);
      expect(b.run()).toMatchObject({ ...expected, rip: p.at('here') });
    }
  });

  test('IRETQ always pops SS:RSP, to the same ring as well', () => {
    const b = machine('long');
    const p = b.load(`push KDATA\n push 0x6800\n push 2\n push K64\n push there\n iretq\n there: hlt`);
    expect(b.run()).toMatchObject({ vector: -1, rip: p.at('there') + 1, sp: 0x6800, ss: KDATA });
  });

  test('IRETQ goes to compatibility mode and ring 3, and an interrupt comes back', () => {
    const b = machine('long');
    b.write(USER_CODE, [0x48, 0xcd, 0x40]); // dec eax; int 40h
    b.set({ rax: 6 });
    expect(b.go(`push UDATA\n push USER_STACK\n push 0x202\n push U32\n push ${USER_CODE}\n iretq`)).toMatchObject({
      vector: 0x40,
      cs: U32,
      ss: UDATA,
      sp: USER_STACK,
      flags: 0x202 | 4,
    });
    expect(b.reg('rax')).toBe(5n);
    expect(b.state.efer & EFER.LMA).toBe(EFER.LMA);
  });

  test.each([
    ['a non-canonical RIP', 'KDATA', 'K64', '0x800000000000', gp(0)],
    ['null SS for ring 3', '3', 'U64', '0x40000', gp(0)],
    ['null SS for compatibility code', '0', 'K32', '0x40000', gp(0)],
  ])('IRETQ with %s is refused', (_name, ss, cs, ip, expected) => {
    const b = machine('long');
    const p = b.load(`mov rax, ${ip}\n push ${ss}\n push 0x6800\n push 2\n push ${cs}\n push rax\n here: iretq`);
    expect(b.run()).toMatchObject({ ...expected, rip: p.at('here') });
  });

  test('IRETQ under NT is #GP(0)', () => {
    const b = machine('long');
    b.state.rflags |= 0x4000n;
    expect(b.go('iretq')).toMatchObject(gp(0));
  });

  test('IRETD in ring 3 cannot change IOPL or IF', () => {
    const b = machine('protected', { ring: 3 });
    expect(b.go('push 0x3246\n push U32\n push after\n iretd\n after: int 0x40')).toMatchObject({
      vector: 0x40,
      flags: 0x46,
    });
  });

  test('a 16-bit IRET keeps the upper half of EFLAGS', () => {
    const b = machine('protected');
    b.state.rflags |= 0x200000n;
    const p = b.load('push word 0x3002\n push word FREE\n push word there-CODE\n iretw\n there: hlt');
    b.setDescriptor(FREE, 0x10000, 0xffff, 0x409b);
    expect(b.run()).toMatchObject({ vector: -1, rip: p.at('there') - 0x10000 + 1, flags: 0x203002 });
  });

  test('returns through the LDT work', () => {
    const b = machine('protected');
    b.state.ldtr = { selector: LDTR, base: BigInt(LDT), limit: 0xff, attributes: 0x82 };
    b.put64(LDT, b.u64(GDT + K32));
    expect(b.go('push 4\n push there\n retfd\n there: hlt')).toMatchObject({ vector: -1, cs: 4 });
  });

  test('16-bit code segments use IP and SP of 16 bits', () => {
    const b = machine('protected');
    b.state.ss = { selector: 0x50, base: 0n, limit: 0xffff, attributes: ATTR.data16 };
    b.setDescriptor(FREE, 0x10000, 0xffff, ATTR.code16);
    b.set({ rsp: 0xabcd_0002 });
    const p = b.load('jmp FREE:there-CODE\n bits 16\n there: push ax\n push ax\n hlt');
    expect(b.run()).toMatchObject({ vector: -1, rip: p.at('there') - 0x10000 + 3, sp: 0xabcd_fffe });
    expect(K16).toBe(0x48);
  });
});
