/** Single step, breakpoints and the debug registers (SDM vol. 3, 18.2, 18.3). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import { CR0, CR4, DATA, F, K32, KDATA, P, SPARE, STUBS, U64, USER_STACK, V, W, WINDOW } from './layout.js';

const BS = 0x4000;
const BD = 0x2000;
const GD = 0x2000n;
/** DR7: breakpoint n enabled globally, R/W and LEN. */
const enable = (n: number, rw: number, bytes = 1) =>
  (2n << BigInt(n * 2)) | (BigInt(rw | ({ 1: 0, 2: 1, 4: 3, 8: 2 }[bytes]! << 2)) << BigInt(16 + n * 4));
const EXEC = 0;
const WRITE = 1;
const IO = 2;
const ACCESS = 3;

function armed(b: Bench, n: number, address: number, dr7: bigint): Bench {
  b.state.dr[n] = BigInt(address);
  b.state.dr[5] |= dr7 | 0x400n;
  return b;
}
const dr6 = (b: Bench) => Number(b.state.dr[4]) & 0xe00f;

describe.each(['protected', 'long'] as const)('single step in %s mode', (mode) => {
  const popf = mode === 'long' ? 'popfq' : 'popfd';

  test('POPF that sets TF traps after the instruction that follows', () => {
    const b = machine(mode);
    const p = b.load(`push 0x102\n ${popf}\n inc ecx\n here: inc ecx\n hlt`);
    const out = b.set({ rcx: 0 }).run();
    expect(out).toMatchObject({ vector: V.DB, rip: p.at('here'), error: -1 });
    expect(out.flags & (F.TF | F.RF)).toBe(F.TF);
    expect(dr6(b)).toBe(BS);
    expect(b.reg('rcx')).toBe(1n);
    expect(Number(b.state.rflags) & F.TF).toBe(0);
  });

  test('every instruction traps, branches and pushes too', () => {
    const b = machine(mode);
    const ret = mode === 'long' ? 'iretq' : 'iretd';
    const slot =
      mode === 'long' ? 'mov rax, [rsp]\n mov [SPARE+ecx*8], rax' : 'mov eax, [esp]\n mov [SPARE+ecx*8], eax';
    b.load(`${slot}\n inc ecx\n ${ret}`, 0x11000);
    b.setGate(V.DB, 0x11000);
    b.set({ rcx: 0 });
    const p = b.load(
      `push 0x102\n ${popf}\n n0: nop\n n1: jmp n2\n ud2\n n2: push 5\n n3: call n5\n n4: int 0x40\n n5: ret`,
    );
    expect(b.run()).toMatchObject({ vector: 0x40, rip: p.at('n5') });
    const seen = Array.from({ length: Number(b.reg('rcx')) }, (_, i) => Number(b.u64(SPARE + i * 8)));
    expect(seen).toEqual(['n1', 'n2', 'n3', 'n5', 'n4'].map((l) => p.at(l)));
  });

  test('INT n under TF traps neither in the handler nor after INT, but after the next instruction', () => {
    const b = machine(mode);
    const ret = mode === 'long' ? 'iretq' : 'iretd';
    b.load(`nop\n inc edx\n ${ret}`, 0x11000);
    b.setGate(0x50, 0x11000);
    b.set({ rdx: 0 });
    const p = b.load(`push 0x102\n ${popf}\n int 0x50\n n1: nop\n n2: hlt`);
    const out = b.run();
    expect(out).toMatchObject({ vector: V.DB });
    expect(b.reg('rdx')).toBe(1n);
    // IRET brings TF back: the trap comes after the instruction that follows it.
    expect(out.rip).toBe(p.at('n2'));
  });

  test('a fault under TF goes to its handler without a trap', () => {
    const b = machine(mode);
    const p = b.load(`push 0x102\n ${popf}\n here: ud2`);
    const out = b.run();
    expect(out).toMatchObject({ vector: V.UD, rip: p.at('here') });
    expect(out.flags & F.TF).toBe(F.TF);
  });

  test('POPF that clears TF is still followed by its own trap', () => {
    const b = machine(mode);
    const p = b.load(`push 2\n push 0x102\n ${popf}\n ${popf}\n here: nop\n hlt`);
    const out = b.run();
    expect(out).toMatchObject({ vector: V.DB, rip: p.at('here') });
    expect(out.flags & F.TF).toBe(0);
  });

  test('MOV SS holds the trap back for one instruction', () => {
    const b = machine(mode);
    const p = b.load(`mov ax, KDATA\n push 0x102\n ${popf}\n mov ss, ax\n n1: nop\n n2: nop\n hlt`);
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('n2') });
  });

  test('REP string instructions trap after each element', () => {
    const b = machine(mode);
    b.set({ rcx: 5, rdi: DATA, rax: 1 });
    const p = b.load(`push 0x102\n ${popf}\n here: rep stosb\n hlt`);
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('here') });
    expect([b.reg('rcx'), b.reg('rdi')]).toEqual([4n, BigInt(DATA + 1)]);
  });

  test('a hardware interrupt and a trap due at the same boundary: the trap is delivered, then the interrupt in its handler', () => {
    const b = machine(mode);
    b.outside.acknowledge = () => {
      b.cpu.setInterruptRequest(false);
      return 0x50;
    };
    b.outside.onPortWrite = () => b.cpu.setInterruptRequest(true);
    b.load('hlt', 0x11000);
    b.setGate(V.DB, 0x11000, { type: 15 });
    const p = b.load(`push 0x302\n ${popf}\n out 0x80, al\n here: nop\n hlt`);
    expect(b.run()).toMatchObject({ vector: 0x50, rip: 0x11000 });
    expect(p.at('here')).toBeGreaterThan(0);
  });

  test('HLT under TF traps behind it', () => {
    const b = machine(mode);
    const p = b.load(`push 0x102\n ${popf}\n hlt\n here: nop`);
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('here') });
  });
});

describe('SYSCALL and TF', () => {
  test.each([
    [0x100, 'no trap'],
    [0, 'a trap after the first instruction of the kernel'],
  ])('with FMASK %i there is %s', (fmask, _what) => {
    const b = machine('long', { ring: 3 });
    b.state.efer |= 1n;
    b.state.msrs.set(0xc000_0081, (0x28n << 48n) | (8n << 32n));
    b.state.msrs.set(0xc000_0082, 0x11000n);
    b.state.msrs.set(0xc000_0084, BigInt(fmask));
    const kernel = b.load('nop\n next: nop\n hlt\n end: nop', 0x11000);
    const out = b.go('push 0x102\n popfq\n syscall');
    if (fmask) expect(out).toMatchObject({ vector: -1, rip: kernel.at('end') });
    else {
      // Processors differ in whether SYSCALL itself traps.
      expect(out.vector).toBe(V.DB);
      expect([0x11000, kernel.at('next')]).toContain(out.rip);
    }
  });
});

describe('instruction breakpoints', () => {
  // The frame's RF is clear: it is the handler that has to set it (SDM vol. 3, 18.3.1.1).
  test('fault before the instruction; a handler that sets RF in the frame goes past', () => {
    const b = machine('long');
    const p = b.load('inc ecx\n here: inc ecx\n inc ecx\n hlt');
    armed(b, 2, p.at('here'), enable(2, EXEC)).set({ rcx: 0 });
    const out = b.run();
    expect(out).toMatchObject({ vector: V.DB, rip: p.at('here') });
    expect(out.flags & F.RF).toBe(0);
    expect(b.reg('rcx')).toBe(1n);
    expect(dr6(b)).toBe(4);
    const c = machine('long');
    const q = c.load('inc ecx\n here: inc ecx\n inc ecx\n hlt');
    c.load('inc edx\n bts dword [rsp+16], 16\n iretq', 0x11000);
    c.setGate(V.DB, 0x11000);
    armed(c, 0, q.at('here'), enable(0, EXEC)).set({ rcx: 0, rdx: 0 });
    expect(c.run()).toMatchObject({ vector: -1 });
    expect([c.reg('rcx'), c.reg('rdx')]).toEqual([3n, 1n]);
  });

  test('hit in every round of a loop', () => {
    const b = machine('long');
    const p = b.load('mov ecx, 5\n again: inc ebx\n here: dec ecx\n jnz again\n hlt');
    b.load('inc edx\n bts dword [rsp+16], 16\n iretq', 0x11000);
    b.setGate(V.DB, 0x11000);
    armed(b, 1, p.at('here'), enable(1, EXEC)).set({ rbx: 0, rdx: 0 });
    expect(b.run().vector).toBe(-1);
    expect([b.reg('rbx'), b.reg('rdx')]).toEqual([5n, 5n]);
  });

  test('arm with MOV DR7, and go away again', () => {
    const b = machine('protected');
    const p = b.load(`mov eax, here\n mov dr0, eax\n mov eax, 0x402\n mov dr7, eax\n nop\n here: nop\n hlt`);
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('here'), cs: K32 });
    const c = machine('protected');
    const q = c.load(`mov eax, 0x400\n mov dr7, eax\n here: nop\n hlt`);
    armed(c, 0, q.at('here'), enable(0, EXEC));
    expect(c.run().vector).toBe(-1);
  });

  test('need the exact address of the first byte', () => {
    const b = machine('long');
    const p = b.load('here: mov eax, 0x11111111\n hlt');
    armed(b, 0, p.at('here') + 1, enable(0, EXEC));
    expect(b.run().vector).toBe(-1);
  });
});

describe('data breakpoints', () => {
  test.each([
    ['a write to the byte', WRITE, 1, DATA, 'mov [DATA], al', 1],
    ['a read with R/W = write', WRITE, 4, DATA, 'mov eax, [DATA]', 0],
    ['a read with R/W = access', ACCESS, 4, DATA, 'mov eax, [DATA]', 1],
    ['a byte in the middle of four', WRITE, 4, DATA, 'mov [DATA+2], al', 1],
    ['an access that ends in it', WRITE, 1, DATA + 3, 'mov [DATA], eax', 1],
    ['an access just below', WRITE, 4, DATA + 4, 'mov [DATA], eax', 0],
    ['an access just above', WRITE, 4, DATA, 'mov [DATA+4], eax', 0],
    ['eight bytes', WRITE, 8, DATA, 'mov [DATA+7], al', 1],
    ['a push', WRITE, 8, 0x6ff8, 'push rax', 1],
    ['a read-modify-write', WRITE, 4, DATA, 'inc dword [DATA]', 1],
    ['an SSE store', WRITE, 4, DATA + 12, 'movups [DATA], xmm0', 1],
    ['another word of the same page', WRITE, 4, DATA + 0x800, 'mov [DATA], eax', 0],
  ])('%s', (_name, rw, bytes, address, instruction, hit) => {
    const b = machine('long');
    b.state.cr4 |= CR4.OSFXSR;
    armed(b, 3, address, enable(3, rw, bytes));
    const p = b.load(`nop\n ${instruction}\n here: nop\n hlt`);
    const out = b.run();
    expect(out).toMatchObject(hit ? { vector: V.DB, rip: p.at('here') } : { vector: -1 });
    if (hit) {
      expect(dr6(b)).toBe(8);
      expect(out.flags & F.RF, 'a trap does not push RF').toBe(0);
    }
  });

  test('the store has happened when the trap comes', () => {
    const b = machine('long');
    armed(b, 0, DATA, enable(0, WRITE, 4));
    b.set({ rax: 7 }).go('mov [DATA], eax\n hlt');
    expect(b.u32(DATA)).toBe(7);
  });

  test('an instruction that faults does not trap', () => {
    const b = machine('long');
    armed(b, 0, DATA, enable(0, ACCESS, 8));
    b.set({ rsi: DATA, rdi: WINDOW });
    const p = b.load('here: movsq\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, rip: p.at('here') });
    expect(dr6(b)).toBe(0);
  });

  test('a watched page stays watched after a CR3 write and a TLB miss', () => {
    const b = machine('long');
    b.map(WINDOW, SPARE, P | W);
    armed(b, 0, WINDOW + 8, enable(0, WRITE, 4));
    const p = b.load(
      'mov eax, [WINDOW]\n mov rax, cr3\n mov cr3, rax\n mov [WINDOW], eax\n mov [WINDOW+8], eax\n here: hlt',
    );
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('here') });
  });

  test('REP MOVSB stops at the watched byte', () => {
    const b = machine('long');
    armed(b, 0, DATA + 0x105, enable(0, WRITE, 1));
    b.set({ rsi: DATA, rdi: DATA + 0x100, rcx: 32 });
    const p = b.load('here: rep movsb\n hlt');
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('here') });
    expect(b.reg('rcx')).toBe(26n);
  });

  test('two breakpoints at once are both in DR6', () => {
    const b = machine('long');
    armed(b, 0, DATA, enable(0, WRITE, 4));
    armed(b, 1, DATA + 2, enable(1, WRITE, 1));
    b.go('mov [DATA], eax\n hlt');
    expect(dr6(b)).toBe(3);
  });
});

describe('I/O breakpoints', () => {
  test.each([
    [CR4.DE, 'out 0x60, al', 1],
    [CR4.DE, 'in al, 0x60', 1],
    [CR4.DE, 'out 0x61, al', 0],
    [0n, 'out 0x60, al', 0],
  ])('with CR4.DE %i: %s', (de, instruction, hit) => {
    const b = machine('long');
    b.state.cr4 |= de;
    armed(b, 0, 0x60, enable(0, IO));
    const p = b.load(`${instruction}\n here: nop\n hlt`);
    expect(b.run()).toMatchObject(hit ? { vector: V.DB, rip: p.at('here') } : { vector: -1 });
    if (hit) expect(dr6(b)).toBe(1);
  });
});

describe('the debug registers themselves', () => {
  test('GD makes every MOV DR a #DB with BD, and is cleared for the handler', () => {
    const b = machine('long');
    b.state.dr[5] |= GD;
    const p = b.load('here: mov rax, dr0\n hlt');
    expect(b.run()).toMatchObject({ vector: V.DB, rip: p.at('here') });
    expect(dr6(b)).toBe(BD);
    expect(b.state.dr[5] & GD).toBe(0n);
  });

  test('reserved bits of DR6 and DR7 read as they are fixed', () => {
    const b = machine('protected');
    b.go(
      'xor eax, eax\n mov dr6, eax\n mov dr7, eax\n mov ecx, dr6\n mov edx, dr7\n mov eax, 0xffffffff\n mov dr6, eax\n mov esi, dr6\n hlt',
    );
    expect([b.reg('rcx'), b.reg('rdx')]).toEqual([0xffff_0ff0n, 0x400n]);
    expect(Number(b.reg('rsi')) & 0xe00f).toBe(0xe00f);
  });

  test('the upper halves of DR6 and DR7 must be zero in 64-bit mode', () => {
    for (const n of [6, 7]) {
      const b = machine('long');
      expect(b.go(`mov eax, 1\n shl rax, 32\n mov dr${n}, rax\n hlt`)).toMatchObject({ vector: V.GP, error: 0 });
    }
  });

  test('DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them #UD', () => {
    const b = machine('protected');
    b.go('mov eax, dr4\n mov ecx, dr5\n hlt');
    expect([b.reg('rax'), b.reg('rcx')]).toEqual([0xffff_0ff0n, 0x400n]);
    const c = machine('protected');
    c.state.cr4 |= CR4.DE;
    expect(c.go('mov eax, dr4\n hlt').vector).toBe(V.UD);
  });

  test('DR6 keeps its B bits until software clears them, and BS adds to them', () => {
    const b = machine('long');
    b.state.dr[4] |= BigInt(BS);
    armed(b, 0, DATA, enable(0, WRITE, 1));
    b.go('mov [DATA], al\n hlt');
    expect(dr6(b) & 1).toBe(1);
  });

  test('ring 3 may not touch them', () => {
    const b = machine('long', { ring: 3 });
    expect(b.go('mov rax, dr7\n int 0x40')).toMatchObject({ vector: V.GP, error: 0, cs: U64, sp: USER_STACK });
  });

  test('breakpoints work in ring 3 and in real mode', () => {
    const b = machine('long', { ring: 3 });
    armed(b, 0, 0x50000, enable(0, WRITE, 1));
    expect(b.go('mov [USER_DATA], al\n nop')).toMatchObject({ vector: V.DB, cs: U64 });
    const c = machine('real');
    armed(c, 0, 0x600, enable(0, WRITE, 2));
    expect(c.go('mov [0x601], al\n nop\n hlt')).toMatchObject({ vector: V.DB });
    expect(c.state.cr0 & CR0.PE).toBe(0n);
  });

  test("the stubs and the frame are the layout's", () => {
    const b = machine('protected');
    b.go('int1');
    expect([Number(b.state.rip), b.state.ss.selector]).toEqual([STUBS + 17, KDATA]);
  });
});
