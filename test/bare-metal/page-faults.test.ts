/** Page faults in the middle of instructions: state is as before it, and it can be restarted (SDM vol. 3, 6.5, 6.15). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine, type RegisterName } from './bench.js';
import { CR4, DATA, P, RING0_STACK, SPARE, STACK, U, V, W, WINDOW } from './layout.js';

const EDGE = WINDOW + 0x1000;

/** Two window pages, the second absent; what a fault's handler maps is at SPARE + 1000h. */
function edge(ring = 0, flags = P | W): Bench {
  const b = machine('long', { ring });
  b.state.cr4 |= CR4.OSFXSR;
  b.map(WINDOW, SPARE, flags | (ring ? U : 0));
  return b;
}

const NAMES: readonly RegisterName[] = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];

describe('an access that crosses into an absent page', () => {
  test.each([
    ['mov eax, [rbx]', 0],
    ['mov [rbx], eax', 2],
    ['mov rax, [rbx]', 0],
    ['mov [rbx], rax', 2],
    ['add [rbx], eax', 2],
    ['lock add [rbx], eax', 2],
    ['xchg [rbx], eax', 2],
    ['cmpxchg [rbx], ecx', 2],
    ['lock xadd [rbx], ecx', 2],
    ['inc dword [rbx]', 2],
    ['shl dword [rbx], 3', 2],
    ['bts dword [rbx], 1', 2],
    ['movups xmm0, [rbx]', 0],
    ['movups [rbx], xmm0', 2],
    ['fld qword [rbx]', 0],
    ['push qword [rbx]', 0],
    ['pop qword [rbx]', 2],
    ['call qword [rbx]', 0],
    ['jmp qword [rbx]', 0],
    ['movsq', 0],
    ['stosq', 2],
    ['lodsq', 0],
    ['cmpxchg8b [rbx]', 2],
    ['div dword [rbx]', 0],
    ['imul eax, [rbx]', 0],
    ['movbe eax, [rbx]', 0],
    ['sgdt [rbx]', 2],
    ['lgdt [rbx]', 0],
    ['fxsave [rbx-0xe]', 2],
  ])('%s changes nothing, and CR2 is the first byte of that page', (instruction, error) => {
    const b = edge();
    const fx = instruction.startsWith('fxsave');
    const at = fx ? EDGE - 0x100 : EDGE - 2;
    b.set({ rax: 0x11, rcx: 0x22, rdx: 0x33, rbx: fx ? at + 0xe : at, rsi: at, rdi: at, rbp: 0x66 });
    b.write(SPARE + 0xf00, new Uint8Array(0x100).fill(0x5a));
    const p = b.load(`here: ${instruction}\n hlt`);
    const before = NAMES.map((n) => b.reg(n));
    const out = b.run();
    expect(out).toMatchObject({ vector: V.PF, error, cr2: EDGE, rip: p.at('here'), sp: STACK, flags: 0x10002 });
    expect(NAMES.filter((n) => n !== 'rsp').map((n) => b.reg(n))).toEqual(before.filter((_, i) => NAMES[i] !== 'rsp'));
    if (!fx) expect([...b.engine.memory.view(SPARE + 0xffe, 2)]).toEqual([0x5a, 0x5a]);
  });

  test('a write whose first page is read-only faults there', () => {
    const b = edge(0, P);
    b.set({ rbx: EDGE - 2 });
    expect(b.go('mov [rbx], eax\n hlt')).toMatchObject({ vector: V.PF, error: 3, cr2: EDGE - 2 });
  });

  test('with both pages there, the halves go to their own frames', () => {
    const b = edge();
    b.map(EDGE, SPARE + 0x5000, P | W);
    b.put16(SPARE + 0xffe, 0xbeef);
    b.put16(SPARE + 0x5000, 0xdead);
    b.set({ rbx: EDGE - 2 });
    expect(b.go('mov eax, [rbx]\n add dword [rbx], 0x11110001\n lock inc dword [rbx]\n hlt').vector).toBe(-1);
    expect(b.reg('rax')).toBe(0xdeadbeefn);
    expect([b.u16(SPARE + 0xffe), b.u16(SPARE + 0x5000)]).toEqual([0xbef1, 0xefbe]);
  });

  test('accesses wrap from the top of the 4 GiB space to its bottom', () => {
    const b = machine('protected');
    b.put16(0, 0x1234);
    b.set({ rbx: 0xffff_fffe });
    const out = b.go('mov eax, [ebx]\n hlt');
    // Two bytes come from beyond RAM, two from address 0; a segment limit of 4 GiB may also refuse it.
    expect([-1, V.GP]).toContain(out.vector);
    if (out.vector === -1) expect(b.reg('rax') >> 16n).toBe(0x1234n);
  });
});

describe('stack instructions at the edge of an absent page', () => {
  test.each([
    ['push rax', EDGE, 8],
    ['call there', EDGE, 8],
    ['call rcx', EDGE, 8],
    ['pushfq', EDGE, 8],
    ['enter 16, 0', EDGE, 8],
    ['push 5', EDGE, 8],
  ])('%s faults with RSP as it was', (instruction, top, size) => {
    const b = machine('long');
    b.setGate(V.PF, 0x40e0, { ist: 1 });
    b.set({ rsp: top, rcx: 0x10000 });
    const p = b.load(`here: ${instruction}\n there: hlt`);
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: top - size, rip: p.at('here'), sp: top });
  });

  test.each(['pop rax', 'ret', 'popfq', 'leave', 'iretq', 'retfq', 'pop qword [DATA]', 'ret 8'])(
    '%s faults with RSP as it was',
    (instruction) => {
      const b = machine('long');
      b.setGate(V.PF, 0x40e0, { ist: 1 });
      b.set({ rsp: EDGE, rbp: EDGE, rax: 5 });
      b.put64(DATA, 0x77);
      const p = b.load(`here: ${instruction}\n hlt`);
      expect(b.run()).toMatchObject({ vector: V.PF, error: 0, cr2: EDGE, rip: p.at('here'), sp: EDGE });
      expect([b.reg('rax'), b.reg('rbp'), b.u64(DATA)]).toEqual([5n, BigInt(EDGE), 0x77n]);
    },
  );

  test('POP to memory that faults leaves RSP alone', () => {
    const b = machine('long');
    b.set({ rbx: EDGE });
    const p = b.load('push 7\n here: pop qword [rbx]\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: EDGE, rip: p.at('here'), sp: STACK - 8 });
  });

  test('POP [RSP] uses RSP after the pop, PUSH [RSP] before the push', () => {
    const b = machine('long');
    b.go('push 7\n push 8\n push qword [rsp+8]\n pop rbx\n pop qword [rsp]\n pop rcx\n hlt');
    expect([b.reg('rbx'), b.reg('rcx')]).toEqual([7n, 8n]);
  });

  test('PUSHAD that faults half way has pushed nothing that counts', () => {
    const b = machine('protected', { ring: 3, paging: '32' });
    b.map(WINDOW, SPARE, P | W | U);
    b.set({ rsp: WINDOW + 16 });
    const p = b.load('here: pushad\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 6, rip: p.at('here'), sp: WINDOW + 16 });
  });

  test('POPAD that faults has popped nothing', () => {
    const b = machine('protected', { ring: 3, paging: '32' });
    b.map(WINDOW, SPARE, P | W | U);
    b.write(SPARE + 0xff0, new Uint8Array(16).fill(0xee));
    b.set({ rsp: WINDOW + 0xff0, rax: 1, rdi: 2 });
    const p = b.load('here: popad\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 4, cr2: EDGE, rip: p.at('here'), sp: WINDOW + 0xff0 });
    expect([b.reg('rax'), b.reg('rdi')]).toEqual([1n, 2n]);
  });
});

describe('string instructions', () => {
  test.each([
    ['rep movsb', 'rdi', 2, 16],
    ['rep stosb', 'rdi', 2, 16],
    ['rep movsd', 'rdi', 2, 4],
    ['rep stosq', 'rdi', 2, 2],
    ['rep lodsb', 'rsi', 0, 16],
    ['repe scasb', 'rdi', 0, 16],
    ['repne cmpsb', 'rdi', 0, 0],
  ] as const)(
    '%s stops at the page that is not there, with the registers at the element',
    (instruction, walker, error, elements) => {
      const b = edge();
      const count = 100;
      b.set({ rcx: count, rsi: DATA, rdi: EDGE - 16, rax: 0 });
      if (walker === 'rsi') b.set({ rsi: EDGE - 16 });
      if (instruction.startsWith('repne')) b.set({ rdi: EDGE });
      const p = b.load(`here: ${instruction}\n hlt`);
      expect(b.run()).toMatchObject({ vector: V.PF, error, cr2: EDGE, rip: p.at('here') });
      expect(b.reg(walker)).toBe(BigInt(EDGE));
      expect(b.reg('rcx')).toBe(BigInt(count - elements));
    },
  );

  test('an element that straddles the edge is not begun', () => {
    const b = edge();
    b.set({ rcx: 8, rsi: DATA, rdi: EDGE - 6 });
    b.put32(DATA, 0x04030201);
    const p = b.load('here: rep movsd\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: EDGE, rip: p.at('here') });
    expect([b.reg('rcx'), b.reg('rdi'), b.reg('rsi')]).toEqual([7n, BigInt(EDGE - 2), BigInt(DATA + 4)]);
    expect(b.u32(SPARE + 0xffa)).toBe(0x04030201);
    expect(b.u16(SPARE + 0xffe)).toBe(0);
  });

  test('the copy goes on once the page has come', () => {
    const b = edge();
    b.write(
      DATA,
      Uint8Array.from({ length: 64 }, (_, i) => i + 1),
    );
    b.load(`add rsp, 8\n mov dword [${b.entry(EDGE)}], ${(SPARE + 0x1000) | P | W}\n iretq`, 0x11000);
    b.setGate(V.PF, 0x11000);
    b.set({ rcx: 64, rsi: DATA, rdi: EDGE - 20 });
    expect(b.go('rep movsb\n hlt').vector).toBe(-1);
    expect(b.engine.memory.view(SPARE + 0x1000 - 20, 64)).toEqual(b.engine.memory.view(DATA, 64));
    expect(b.reg('rcx')).toBe(0n);
  });

  test('backwards copies fault at the page below', () => {
    const b = machine('long');
    b.map(EDGE, SPARE, P | W);
    b.set({ rcx: 10, rsi: DATA + 64, rdi: EDGE + 3 });
    const p = b.load('std\n here: rep movsb\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: EDGE - 1, rip: p.at('here') });
    expect([b.reg('rcx'), b.reg('rdi')]).toEqual([6n, BigInt(EDGE - 1)]);
  });

  test('REP INSB does not read the port before the page is writable', () => {
    const b = edge();
    let reads = 0;
    b.outside.readPort = () => {
      reads++;
      return 0x41;
    };
    b.set({ rcx: 5, rdi: EDGE - 2, rdx: 0x60 });
    expect(b.go('rep insb\n hlt')).toMatchObject({ vector: V.PF, error: 2, cr2: EDGE });
    expect(reads).toBe(2);
    expect(b.reg('rcx')).toBe(3n);
    expect(b.u16(SPARE + 0xffe)).toBe(0x4141);
  });

  test('a REP with a count of zero touches nothing', () => {
    const b = machine('long');
    b.set({ rcx: 0, rsi: EDGE, rdi: EDGE });
    expect(b.go('rep movsb\n rep stosb\n repe cmpsb\n rep lodsb\n hlt').vector).toBe(-1);
  });
});

describe('instruction fetches', () => {
  test('an instruction that runs into an absent page faults there, at its own address', () => {
    const b = edge();
    const code = [0xb8, 0x78, 0x56, 0x34, 0x12, 0xf4];
    b.write(SPARE + 0xffd, code.slice(0, 3));
    b.set({ rax: 1 });
    expect(b.go(`jmp ${EDGE - 3}`)).toMatchObject({ vector: V.PF, error: 0x10, cr2: EDGE, rip: EDGE - 3 });
    expect(b.reg('rax')).toBe(1n);
  });

  test('it runs once the page is there, and again after the page is another', () => {
    const b = edge();
    b.map(EDGE, SPARE + 0x5000, P | W);
    b.write(SPARE + 0xffd, [0xb8, 0x78, 0x56]);
    b.write(SPARE + 0x5000, [0x34, 0x12, 0xc3]);
    b.write(SPARE + 0x6000, [0xcd, 0xab, 0xc3]);
    b.go(
      `call ${EDGE - 3}\n mov esi, eax\n mov dword [${b.entry(EDGE)}], ${(SPARE + 0x6000) | P | W}\n invlpg [EDGE]\n call ${EDGE - 3}\n hlt`.replace(
        '[EDGE]',
        `[${EDGE}]`,
      ),
    );
    expect([b.reg('rsi'), b.reg('rax')]).toEqual([0x1234_5678n, 0xabcd_5678n]);
  });

  test('the instruction before the absent page still executes', () => {
    const b = edge();
    b.write(SPARE + 0xffd, [0xff, 0xc1, 0x90]); // inc ecx; nop
    b.set({ rcx: 1 });
    expect(b.go(`jmp ${EDGE - 3}`)).toMatchObject({ vector: V.PF, error: 0x10, cr2: EDGE, rip: EDGE });
    expect(b.reg('rcx')).toBe(2n);
  });

  test('a data fault takes precedence over a fetch fault of what follows', () => {
    const b = edge();
    b.write(SPARE + 0xffd, [0x8b, 0x03, 0x90]); // mov eax, [rbx]; nop
    b.set({ rbx: 0x60_0000_0000n });
    expect(b.go(`jmp ${EDGE - 3}`)).toMatchObject({ vector: V.PF, error: 0, rip: EDGE - 3 });
  });
});

describe('faults of the delivery itself', () => {
  test('a page fault while the frame is pushed is a page fault of its own when the first was benign', () => {
    const b = machine('long');
    b.setGate(V.PF, 0x40e0, { ist: 1 });
    b.set({ rsp: EDGE });
    const p = b.load('here: ud2');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: EDGE - 8, rip: p.at('here') });
  });

  test('nothing of the frame counts when its last word faults', () => {
    const b = machine('long');
    b.setGate(V.PF, 0x40e0, { ist: 1 });
    b.map(WINDOW, SPARE, P | W);
    b.set({ rsp: WINDOW + 0x20 }); // SS, RSP, RFLAGS, CS fit; RIP does not
    const p = b.load('here: ud2');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: WINDOW - 8, rip: p.at('here'), sp: WINDOW + 0x20 });
  });

  test('an interrupt from ring 3 pushes with supervisor rights', () => {
    const b = machine('long', { ring: 3 });
    expect(b.go('int 0x40')).toMatchObject({ vector: 0x40 });
    expect(b.reg('rsp')).toBe(BigInt(RING0_STACK - 40));
  });
});
