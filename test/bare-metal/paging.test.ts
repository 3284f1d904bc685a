/** Translation, rights, accessed and dirty bits, and the TLB, in every paging mode (SDM vol. 3, chapter 4). */
import { describe, expect, test } from 'vitest';
import { type Bench, type Mode, machine, type Paging } from './bench.js';
import {
  A,
  CR0,
  CR4,
  D,
  DATA,
  EFER,
  G,
  NX,
  P,
  PD,
  PDPT,
  PS,
  ROOT,
  SPARE,
  U,
  USER_DATA,
  V,
  W,
  WINDOW,
  WINDOW_PT,
} from './layout.js';

const MODES: readonly (readonly [string, Mode, Paging])[] = [
  ['32-bit paging', 'protected', '32'],
  ['PAE paging', 'protected', 'pae'],
  ['4-level paging under 64-bit code', 'long', '4-level'],
  ['4-level paging under compatibility code', 'compat', '4-level'],
];
const pf = (error: number, cr2: number) => ({ vector: V.PF, error, cr2 });

describe.each(MODES)('%s', (_name, mode, paging) => {
  const at = (ring = 0) => machine(mode, { ring, paging });

  test('translates, and sets the accessed bit on reads and dirty on writes', () => {
    const b = at();
    b.map(WINDOW, SPARE, P | W);
    b.map(WINDOW + 0x1000, SPARE + 0x1000, P | W);
    b.put32(SPARE, 0x1234);
    expect(b.go('mov eax, [WINDOW]\n mov [WINDOW+0x1000], eax\n hlt').vector).toBe(-1);
    expect(b.u32(SPARE + 0x1000)).toBe(0x1234);
    expect(Number(b.pte(WINDOW)) & 0xfff).toBe(P | W | A);
    expect(Number(b.pte(WINDOW + 0x1000)) & 0xfff).toBe(P | W | A | D);
  });

  test('a page that was only read becomes dirty with the first write', () => {
    const b = at();
    b.map(WINDOW, SPARE, P | W);
    b.go('mov eax, [WINDOW]\n mov [WINDOW], eax\n hlt');
    expect(Number(b.pte(WINDOW)) & (A | D)).toBe(A | D);
  });

  test.each([
    ['a read', 'mov eax, [WINDOW+4]', 0, 0],
    ['a write', 'mov [WINDOW+4], eax', 0, 2],
    ['a read-modify-write', 'inc dword [WINDOW+4]', 0, 2],
    ['a locked read-modify-write', 'lock inc dword [WINDOW+4]', 0, 2],
    ['a user read', 'mov eax, [WINDOW+4]', 3, 4],
    ['a user write', 'mov [WINDOW+4], eax', 3, 6],
  ])('%s of an absent page', (_what, access, ring, error) => {
    const b = at(ring);
    const p = b.load(`here: ${access}\n hlt`);
    expect(b.run()).toMatchObject({ ...pf(error, WINDOW + 4), rip: p.at('here') });
  });

  test.each([
    ['a user read of a supervisor page', P | W, 'mov eax, [WINDOW]', 3, 5],
    ['a user write of a supervisor page', P | W, 'mov [WINDOW], eax', 3, 7],
    ['a user write of a read-only page', P | U, 'mov [WINDOW], eax', 3, 7],
    ['a user read of a read-only page', P | U, 'mov eax, [WINDOW]', 3, -1],
    ['a user read-modify-write of a read-only page', P | U, 'add [WINDOW], eax', 3, 7],
    ['a supervisor write of a read-only page under WP', P, 'mov [WINDOW], eax', 0, 3],
    ['a supervisor read of a user page', P | U, 'mov eax, [WINDOW]', 0, -1],
  ])('%s', (_what, flags, access, ring, error) => {
    const b = at(ring);
    b.state.cr0 |= CR0.WP;
    b.map(WINDOW, SPARE, flags);
    const out = b.go(`${access}\n int 0x40`);
    expect(out).toMatchObject(error < 0 ? { vector: 0x40 } : pf(error, WINDOW));
    expect(Number(b.pte(WINDOW)) & D).toBe(0);
  });

  test('without WP a supervisor may write read-only pages', () => {
    const b = at();
    b.state.cr0 &= ~CR0.WP;
    b.map(WINDOW, SPARE, P);
    expect(b.go('mov dword [WINDOW], 5\n hlt').vector).toBe(-1);
    expect(b.u32(SPARE)).toBe(5);
    expect(Number(b.pte(WINDOW)) & D).toBe(D);
  });

  test('turning WP on takes effect at once', () => {
    const b = at();
    b.state.cr0 &= ~CR0.WP;
    b.map(WINDOW, SPARE, P);
    const mov =
      mode === 'long' ? 'mov rax, cr0\n bts rax, 16\n mov cr0, rax' : 'mov eax, cr0\n bts eax, 16\n mov cr0, eax';
    expect(b.go(`mov dword [WINDOW], 5\n ${mov}\n mov dword [WINDOW], 6\n hlt`)).toMatchObject(pf(3, WINDOW));
  });

  test('an entry that was absent may become present without INVLPG', () => {
    const b = at();
    b.put32(SPARE, 9);
    const entry = b.entry(WINDOW);
    b.setGate(V.PF, 0x11000, mode === 'protected' ? {} : {});
    b.load(
      `${mode === 'protected' || mode === 'compat' ? '' : ''}add ${mode === 'protected' ? 'esp, 4' : 'rsp, 8'}\n mov dword [${entry}], ${SPARE | P | W}\n ${mode === 'protected' ? 'iretd' : 'iretq'}`,
      0x11000,
      mode === 'protected' ? 32 : 64,
    );
    expect(b.go('mov ecx, [WINDOW]\n mov edx, [WINDOW]\n hlt').vector).toBe(-1);
    expect(b.reg('rcx')).toBe(9n);
  });

  test('a stale translation lives until INVLPG or a CR3 write', () => {
    const b = at();
    b.map(WINDOW, SPARE, P | W);
    b.put32(SPARE, 1);
    b.put32(SPARE + 0x1000, 2);
    const to = (gpa: number) => `mov dword [${b.entry(WINDOW)}], ${gpa | P | W}\n`;
    const cr3 = mode === 'long' ? 'mov rax, cr3\n mov cr3, rax\n' : 'mov eax, cr3\n mov cr3, eax\n';
    b.go(
      `mov esi, [WINDOW]\n ${to(SPARE + 0x1000)} invlpg [WINDOW]\n mov edi, [WINDOW]\n ${to(SPARE)} ${cr3} mov ebp, [WINDOW]\n hlt`,
    );
    expect([b.reg('rsi'), b.reg('rdi'), b.reg('rbp')]).toEqual([1n, 2n, 1n]);
  });

  test('global pages survive a CR3 write under PGE, and only then', () => {
    for (const pge of [0n, CR4.PGE]) {
      const b = at();
      b.state.cr4 |= pge;
      b.map(WINDOW, SPARE, P | W | G);
      b.put32(SPARE, 1);
      b.put32(SPARE + 0x1000, 2);
      const cr3 = mode === 'long' ? 'mov rax, cr3\n mov cr3, rax\n' : 'mov eax, cr3\n mov cr3, eax\n';
      b.go(
        `mov esi, [WINDOW]\n mov dword [${b.entry(WINDOW)}], ${(SPARE + 0x1000) | P | W | G}\n ${cr3} mov edi, [WINDOW]\n invlpg [WINDOW]\n mov ebp, [WINDOW]\n hlt`,
      );
      // A processor may drop global entries at any time; ours keeps them, which is the point of them.
      expect([b.reg('rsi'), b.reg('rdi'), b.reg('rbp')]).toEqual([1n, pge ? 1n : 2n, 2n]);
    }
  });

  test('toggling PGE drops global pages', () => {
    const b = at();
    b.state.cr4 |= CR4.PGE;
    b.map(WINDOW, SPARE, P | W | G);
    b.put32(SPARE + 0x1000, 2);
    const [rax, ebx] = mode === 'long' ? ['rax', 'rbx'] : ['eax', 'ebx'];
    b.go(
      `mov esi, [WINDOW]\n mov dword [${b.entry(WINDOW)}], ${(SPARE + 0x1000) | P | W | G}\n mov ${rax}, cr4\n mov ${ebx}, ${rax}\n btr ${rax}, 7\n mov cr4, ${rax}\n mov cr4, ${ebx}\n mov edi, [WINDOW]\n hlt`,
    );
    expect(b.reg('rdi')).toBe(2n);
  });

  test('instruction fetches of absent pages fault at the target', () => {
    const b = at();
    const p = b.load('here: jmp WINDOW');
    // Without NX and SMEP the error code does not tell fetches.
    const fetch = b.state.efer & EFER.NXE ? 16 : 0;
    expect(p.bytes.length).toBeGreaterThan(0);
    expect(b.run()).toMatchObject({ ...pf(fetch, WINDOW), rip: WINDOW });
  });

  test('large pages translate, with their own accessed and dirty bits', () => {
    const b = at();
    b.state.cr4 |= CR4.PSE;
    if (paging === '32') b.put32(ROOT + 4, 0x40_0000 | P | W | PS);
    else b.put64(PD + 16, 0x40_0000 | P | W | PS);
    b.put32(WINDOW + 0x12344, 77);
    expect(b.go('mov eax, [WINDOW+0x12344]\n mov [WINDOW+0x1ffffc], eax\n hlt').vector).toBe(-1);
    expect(b.u32(0x5f_fffc)).toBe(77);
    const entry = paging === '32' ? b.u32(ROOT + 4) : Number(b.u64(PD + 16));
    expect(entry & 0xfff).toBe(P | W | PS | A | D);
  });

  test('INVLPG of any address in a large page drops the whole page', () => {
    const b = at();
    b.state.cr4 |= CR4.PSE;
    const where = paging === '32' ? ROOT + 4 : PD + 16;
    b.put32(where, 0x40_0000 | P | W | PS);
    b.put32(0x40_0000, 1);
    b.put32(0x1000, 0);
    b.put32(0x1f_f000, 3);
    b.go(
      `mov esi, [WINDOW]\n mov eax, [WINDOW+0x1ff000]\n mov dword [${where}], ${P | W | PS}\n invlpg [WINDOW+0x5000]\n mov edi, [WINDOW+0x1ff000]\n hlt`,
    );
    expect([b.reg('rsi'), b.reg('rdi')]).toEqual([1n, 3n]);
  });

  test('rights are the intersection over all levels', () => {
    const b = at(3);
    b.map(WINDOW, SPARE, P | W | U);
    const where = paging === '32' ? ROOT + 4 : PD + 16;
    b.put32(where, WINDOW_PT | P | U);
    expect(b.go('mov eax, [WINDOW]\n mov [WINDOW], eax\n hlt')).toMatchObject(pf(7, WINDOW));
    const c = at(3);
    c.map(WINDOW, SPARE, P | W | U);
    c.put32(where, WINDOW_PT | P | W);
    expect(c.go('mov eax, [WINDOW]\n hlt')).toMatchObject(pf(5, WINDOW));
  });

  test('SMEP keeps the supervisor from executing user pages', () => {
    const b = at();
    b.state.cr4 |= CR4.SMEP;
    b.map(WINDOW, SPARE, P | U);
    b.write(SPARE, [0xf4]);
    expect(b.go('jmp WINDOW')).toMatchObject({ ...pf(0x11, WINDOW), rip: WINDOW });
    const c = at(3);
    c.state.cr4 |= CR4.SMEP;
    c.map(WINDOW, SPARE, P | U);
    c.write(SPARE, [0xcd, 0x40]);
    expect(c.go('jmp WINDOW').vector).toBe(0x40);
  });

  test('SMAP keeps the supervisor from user data unless AC is set', () => {
    for (const [source, expected] of [
      ['mov eax, [WINDOW]', pf(1, WINDOW)],
      ['mov [WINDOW], eax', pf(3, WINDOW)],
      ['stac\n mov eax, [WINDOW]\n mov [WINDOW], eax', { vector: -1 }],
      ['stac\n mov eax, [WINDOW]\n clac\n mov eax, [WINDOW+4]', pf(1, WINDOW + 4)],
      ['stac\n lgdt [WINDOW+16]', { vector: -1 }],
    ] as const) {
      const b = at();
      b.state.cr4 |= CR4.SMAP;
      b.map(WINDOW, SPARE, P | W | U);
      b.put16(SPARE + 16, 0x3ff);
      b.put64(SPARE + 18, 0x1000);
      expect(b.go(`${source}\n hlt`), source).toMatchObject(expected);
    }
  });

  test('SMAP holds for implicit accesses whatever AC says', () => {
    const b = at();
    b.state.cr4 |= CR4.SMAP;
    b.state.rflags |= 0x40000n;
    b.map(WINDOW, 0x1000, P | W | U); // the GDT in a user page
    b.state.gdtr = { base: BigInt(WINDOW), limit: 0x3ff };
    for (const v of [V.PF]) b.setGate(v, 0x4000 + v * 16);
    const out = b.go('mov ax, 0x10\n mov es, ax\n hlt');
    // The gate's own segment lies in that table too: every delivery faults the same way.
    expect(out.exit).toBe('shutdown');
    expect(b.state.cr2).toBe(BigInt(WINDOW + (mode === 'long' || mode === 'compat' ? 8 : 0x18)));
  });
});

describe('32-bit paging', () => {
  test('without PSE the large bit is ignored', () => {
    const b = machine('protected', { paging: '32' });
    b.put32(ROOT + 4, WINDOW_PT | P | W | PS);
    b.map(WINDOW, SPARE, P | W);
    b.put32(SPARE, 5);
    b.go('mov eax, [WINDOW]\n hlt');
    expect(b.reg('rax')).toBe(5n);
  });

  test('PSE-36 takes address bits 39:32 from the entry, and bit 21 is reserved', () => {
    const b = machine('protected', { paging: '32' });
    b.state.cr4 |= CR4.PSE;
    b.put32(ROOT + 4, P | W | PS | (1 << 13));
    b.go('mov dword [WINDOW+8], 0x55\n hlt');
    expect(b.outside.mmio).toEqual([{ gpa: 0x1_0000_0008, size: 4, value: 0x55 }]);
    const c = machine('protected', { paging: '32' });
    c.state.cr4 |= CR4.PSE;
    c.put32(ROOT + 4, P | W | PS | (1 << 21));
    expect(c.go('mov eax, [WINDOW]\n hlt')).toMatchObject(pf(9, WINDOW));
  });
});

describe('PAE paging', () => {
  const at = () => machine('protected', { paging: 'pae' });

  test('PDPTEs are read when CR3 is loaded, not at each walk', () => {
    const b = at();
    b.put32(SPARE, 1);
    expect(b.go(`mov dword [${ROOT}], 0\n invlpg [${SPARE}]\n mov eax, [0x7000]\n hlt`).vector).toBe(-1);
  });

  test('a PDPTE with reserved bits makes MOV CR3 #GP(0)', () => {
    const b = at();
    b.put64(0xf000, PD | P | W);
    expect(b.go('mov eax, 0xf000\n mov cr3, eax\n hlt')).toMatchObject({ vector: V.GP, error: 0 });
    expect(b.state.cr3).toBe(BigInt(ROOT));
  });

  test('CR3 may lie at any multiple of 32', () => {
    const b = at();
    b.put64(0xf020, PD | P);
    expect(b.go('mov eax, 0xf020\n mov cr3, eax\n mov eax, [DATA]\n hlt').vector).toBe(-1);
  });

  test('an absent PDPTE faults', () => {
    expect(at().go('mov eax, [0x40000000]\n hlt')).toMatchObject(pf(0, 0x4000_0000));
  });

  test('NX needs EFER.NXE; without it bit 63 is reserved', () => {
    const b = at();
    b.state.efer |= EFER.NXE;
    b.map(WINDOW, SPARE, BigInt(P) | NX);
    expect(b.go('mov eax, [WINDOW]\n jmp WINDOW')).toMatchObject(pf(0x11, WINDOW));
    const c = at();
    c.map(WINDOW, SPARE, BigInt(P) | NX);
    expect(c.go('mov eax, [WINDOW]\n hlt')).toMatchObject(pf(9, WINDOW));
  });

  test('physical addresses beyond 4 GiB are reached', () => {
    const b = at();
    b.map(WINDOW, 0x1_2345_6000, P | W);
    b.go('mov byte [WINDOW+3], 7\n hlt');
    expect(b.outside.mmio).toEqual([{ gpa: 0x1_2345_6003, size: 1, value: 7 }]);
  });
});

describe('4-level paging', () => {
  const at = (ring = 0) => machine('long', { ring });

  test('1 GiB pages translate', () => {
    const b = at();
    b.put64(PDPT + 8, P | W | PS);
    b.put32(SPARE + 0x124, 0x99);
    expect(b.go(`mov eax, [0x40000000+SPARE+0x124]\n mov [0x40000000+SPARE], eax\n hlt`).vector).toBe(-1);
    expect(b.u32(SPARE)).toBe(0x99);
    expect(Number(b.u64(PDPT + 8))).toBe(P | W | PS | A | D);
  });

  test.each([
    ['PS in a PML4 entry', (b: Bench) => b.put64(ROOT + 8, PDPT | P | PS), 0x80_0000_0000n],
    ['an address bit above 40 in a leaf', (b: Bench) => b.map(WINDOW, SPARE, BigInt(P) | (1n << 45n)), BigInt(WINDOW)],
    ['bits below the address of a 2 MiB page', (b: Bench) => b.put64(PD + 16, P | PS | 0x2000), BigInt(WINDOW)],
    ['bits below the address of a 1 GiB page', (b: Bench) => b.put64(PDPT + 8, P | PS | 0x10_0000), 0x4000_0000n],
    [
      'an address bit above 40 in a directory',
      (b: Bench) => b.put64(PD + 16, BigInt(WINDOW_PT | P) | (1n << 51n)),
      BigInt(WINDOW),
    ],
  ] as const)('%s is reserved', (_name, change, linear) => {
    const b = at();
    b.map(WINDOW, SPARE, P);
    change(b);
    b.set({ rbx: linear });
    expect(b.go('mov eax, [rbx]\n hlt')).toMatchObject({ vector: V.PF, error: 9, cr2: Number(linear) });
  });

  test("bits 52 to 58 are the software's", () => {
    const b = at();
    b.map(WINDOW, SPARE, BigInt(P) | (0x7fn << 52n));
    expect(b.go('mov eax, [WINDOW]\n hlt').vector).toBe(-1);
  });

  test('NX at any level forbids execution', () => {
    for (const where of [ROOT, PDPT, PD + 16]) {
      const b = at();
      b.map(WINDOW, SPARE, P | W);
      b.put64(0xf000, P);
      // The upper tables also hold the program: map them a second time, through PML4 slot 1.
      b.put64(ROOT + 8, PDPT | P | W);
      const change = where === ROOT ? ROOT + 8 : where;
      if (where === PDPT) {
        b.write(0xf000, b.engine.memory.view(PDPT, 0x1000));
        b.put64(ROOT + 8, 0xf000 | P | W);
      }
      const target = where === PDPT ? 0xf000 : change;
      b.put64(target, b.u64(target) | NX);
      b.set({ rbx: 0x80_0000_0000n + BigInt(WINDOW) });
      expect(b.go('mov eax, [rbx]\n jmp rbx'), String(where)).toMatchObject({ vector: V.PF, error: 0x11 });
    }
  });

  test('user fetches of NX pages say so', () => {
    const b = at(3);
    b.map(WINDOW, SPARE, BigInt(P | U) | NX);
    expect(b.go('mov eax, [WINDOW]\n jmp WINDOW')).toMatchObject(pf(0x15, WINDOW));
  });

  test('the whole canonical space is reached, and nothing else', () => {
    const b = at();
    b.put64(ROOT + 511 * 8, PDPT | P | W);
    b.put64(PDPT + 511 * 8, PD | P | W);
    b.put32(DATA, 3);
    b.set({ rbx: 0xffff_ffff_c000_0000n + BigInt(DATA) });
    b.go('mov eax, [rbx]\n hlt');
    expect(b.reg('rax')).toBe(3n);
    for (const [source, expected] of [
      ['mov eax, [rbx]', { vector: V.GP, error: 0 }],
      ['mov [rbx], eax', { vector: V.GP, error: 0 }],
      ['push qword [rbx]', { vector: V.GP, error: 0 }],
      ['jmp rbx', { vector: V.GP, error: 0 }],
      ['mov rsp, rbx\n iretq', { vector: V.SS, error: 0 }],
      ['call far qword [rbx]', { vector: V.GP, error: 0 }],
    ] as const) {
      const c = at();
      c.setGate(V.SS, 0x4000 + V.SS * 16, { ist: 1 });
      c.set({ rbx: 0x8000_0000_0000n });
      expect(c.go(`${source}\n hlt`), source).toMatchObject(expected);
    }
  });

  // A processor raises #SS(0); the interpreter's inline POP does not tell its reads from others, and raises #GP(0).
  test('a POP from a non-canonical address faults', () => {
    const b = at();
    for (const v of [V.SS, V.GP]) b.setGate(v, 0x4000 + v * 16, { ist: 1 });
    const p = b.set({ rsp: 0x8000_0000_0000n }).load('here: pop rax\n hlt');
    const out = b.run();
    expect([V.SS, V.GP]).toContain(out.vector);
    expect(out).toMatchObject({ error: 0, rip: p.at('here'), sp: 0x8000_0000_0000 });
  });

  test('an access that straddles the end of the lower half faults as non-canonical', () => {
    const b = at();
    b.put64(ROOT + 255 * 8, PDPT | P | W);
    b.put64(PDPT + 511 * 8, PD | P | W);
    b.put64(PD + 511 * 8, P | W | PS);
    b.set({ rbx: 0x7fff_ffff_fffcn });
    expect(b.go('mov rax, [rbx]\n hlt')).toMatchObject({ vector: V.GP, error: 0 });
  });

  test('PCIDs: CR3 bit 63 keeps translations, without it they go; INVPCID drops by address, PCID and all', () => {
    const b = at();
    b.state.cr4 |= CR4.PCIDE;
    b.map(WINDOW, SPARE, P | W);
    b.put32(SPARE, 1);
    b.put32(SPARE + 0x1000, 2);
    b.set({ rbx: BigInt(ROOT) | 5n, r8: BigInt(ROOT) | (1n << 63n), r9: ROOT });
    const out = b.go(`
      mov esi, [WINDOW]
      mov dword [${b.entry(WINDOW)}], ${(SPARE + 0x1000) | P | W}
      mov cr3, rbx
      mov edi, [WINDOW]         ; PCID 5 sees the new entry
      mov cr3, r9               ; and PCID 0 is flushed
      mov ebp, [WINDOW]
      mov dword [${b.entry(WINDOW)}], ${SPARE | P | W}
      mov qword [DATA], 0
      mov qword [DATA+8], WINDOW
      xor eax, eax
      invpcid rax, [DATA]
      mov r10d, [WINDOW]
      mov rdx, cr3
      hlt`);
    expect(out.vector).toBe(-1);
    expect([b.reg('rsi'), b.reg('rdi'), b.reg('rbp'), b.reg('r10')]).toEqual([1n, 2n, 2n, 1n]);
    expect(b.reg('rdx')).toBe(BigInt(ROOT));
  });

  test.each([
    ['type 4', 'mov eax, 4', 0n, 0n],
    ['reserved bits in the descriptor', 'xor eax, eax', 0x1000n, 0n],
    ['a non-canonical address', 'xor eax, eax', 0n, 0x8000_0000_0000n],
    ['a PCID without PCIDE', 'xor eax, eax', 1n, 0n],
  ])('INVPCID with %s is #GP(0)', (_name, source, low, high) => {
    const b = at();
    b.put64(DATA, low);
    b.put64(DATA + 8, high);
    expect(b.go(`${source}\n invpcid rax, [DATA]\n hlt`)).toMatchObject({ vector: V.GP, error: 0 });
  });

  test('PCIDE needs CR3 bits 11:0 clear, and CR3 bit 63 is reserved without it', () => {
    const b = at();
    b.state.cr3 |= 8n;
    expect(b.go('mov rax, cr4\n bts rax, 17\n mov cr4, rax\n hlt')).toMatchObject({ vector: V.GP });
    const c = at();
    expect(c.go('mov rax, cr3\n bts rax, 63\n mov cr3, rax\n hlt')).toMatchObject({ vector: V.GP });
  });

  test('INVLPG is privileged and ignores non-canonical addresses', () => {
    expect(at(3).go('invlpg [0]\n int 0x40')).toMatchObject({ vector: V.GP, error: 0 });
    const b = at();
    b.set({ rbx: 0x8000_0000_0000n });
    expect(b.go('invlpg [rbx]\n hlt').vector).toBe(-1);
  });

  test('translate tells the debugger what the walk would find, and leaves accessed bits alone', () => {
    const b = at();
    b.map(WINDOW, SPARE, P);
    b.cpu.setState(b.state);
    expect(b.cpu.translate(BigInt(WINDOW) + 0x123n)).toBe(SPARE + 0x123);
    expect(b.cpu.translate(BigInt(WINDOW) + 0x1000n)).toBeUndefined();
    expect(Number(b.pte(WINDOW))).toBe(SPARE | P);
  });

  test('user pages of the layout are what ring 3 can reach', () => {
    expect(at(3).go(`mov eax, [${USER_DATA}]\n int 0x40`).vector).toBe(0x40);
  });
});
