/** Code that changes: patched, aliased, remapped, overlapped. On x86 the next fetch sees every earlier store (SDM vol. 3, 12.1.3). */
import { describe, expect, test } from 'vitest';
import { type Bench, type Mode, machine } from './bench.js';
import { CR4, DATA, P, SPARE, U, V, W, WINDOW } from './layout.js';

const NOP = 0x90;

describe.each<Mode>(['real', 'protected', 'long'])('self-modifying code in %s mode', (mode) => {
  const wide = mode === 'real' ? 'ax' : 'eax';
  const here = mode === 'real' ? 'cs:' : '';
  const iret = { real: 'iret', protected: 'iretd', long: 'iretq' }[mode as 'real'];

  test('the very next instruction, patched in one block', () => {
    const b = machine(mode);
    const p = b.load(`mov byte [${here}target+1], 7\n target: mov al, 1\n hlt`);
    expect(p.bytes.length).toBeGreaterThan(0);
    b.run();
    expect(Number(b.reg('rax')) & 0xff).toBe(7);
  });

  test('an instruction some way ahead in the running block', () => {
    const b = machine(mode);
    b.go(`mov byte [${here}target], 0xb3\n mov cl, 1\n mov dl, 2\n inc cl\n target: mov al, 9\n inc dl\n hlt`);
    expect(Number(b.reg('rbx')) & 0xff).toBe(9);
    expect([Number(b.reg('rcx')) & 0xff, Number(b.reg('rdx')) & 0xff]).toEqual([2, 3]);
  });

  test('code behind, run again in a loop', () => {
    const b = machine(mode);
    b.set({ rcx: 4, rbx: 0, rax: 0 });
    b.go(`again: patch: add bl, 1\n inc byte [${here}patch+2]\n dec cl\n jnz again\n hlt`);
    expect(Number(b.reg('rbx')) & 0xff).toBe(1 + 2 + 3 + 4);
  });

  test('a subroutine between two calls', () => {
    const b = machine(mode);
    b.go(`call sub\n mov bl, al\n mov byte [${here}sub+1], 0x55\n call sub\n hlt\n align 64\n sub: mov al, 0x22\n ret`);
    expect([Number(b.reg('rbx')) & 0xff, Number(b.reg('rax')) & 0xff]).toEqual([0x22, 0x55]);
  });

  test('a hot subroutine, many times over', () => {
    const b = machine(mode);
    b.set({ rcx: 0, rbx: 0, rdx: 0 });
    b.go(`
      again: mov [${here}sub+1], dl
        call sub
        cmp al, dl
        jne bad
        inc dl
        cmp dl, 200
        jne again
        mov bl, 1
      bad: hlt
        align 64
      sub: mov al, 0
        ret`);
    expect(Number(b.reg('rbx')) & 0xff).toBe(1);
  });

  test('REP STOSB over the code that runs', () => {
    const b = machine(mode);
    const p = b.load(`cld\n rep stosb\n target: zero 16\n hlt`);
    if (mode === 'real') b.state.es = { ...b.state.es, selector: 0x1000, base: 0x10000n };
    b.set({ rdi: p.at('target'), rcx: 16, rax: NOP });
    expect(b.run()).toMatchObject({ exit: 'hlt', vector: -1, rip: p.at('target') + 17 });
  });

  test('a store that straddles the end of one instruction and the start of the next', () => {
    const b = machine(mode);
    b.go(`mov word [${here}two-1], 0xb307\n one: mov al, 1\n two: mov cl, 5\n hlt`);
    expect([Number(b.reg('rax')) & 0xff, Number(b.reg('rbx')) & 0xff]).toEqual([7, 5]);
  });

  test('data beside code: stores there do not disturb', () => {
    const b = machine(mode);
    b.set({ rcx: 1000, rbx: 0 });
    const before = b.cpu.stats.blocksDecoded;
    b.go(
      `again: inc word [${here}counter]\n inc bx\n dec cx\n jnz again\n jmp end\n counter: dw 0\n end: mov dx, [${here}counter]\n hlt`,
    );
    expect(Number(b.reg('rdx')) & 0xffff).toBe(1000);
    expect(Number(b.reg('rbx')) & 0xffff).toBe(1000);
    // A loop that is decoded anew each round would still be right; it may be so while it shares a block's bytes.
    expect(b.cpu.stats.blocksDecoded - before).toBeLessThan(2100);
  });

  test('data in the same page, a line away, costs no decoding', () => {
    const b = machine(mode);
    b.set({ rcx: 1000 });
    const before = b.cpu.stats.blocksDecoded;
    b.go(`again: inc word [${here}counter]\n dec cx\n jnz again\n hlt\n align 256\n counter: dw 0`);
    expect(b.cpu.stats.blocksDecoded - before).toBeLessThan(20);
  });

  test('a jump into the middle of an instruction', () => {
    const b = machine(mode);
    // The immediate holds mov cl, 3; hlt.
    const code =
      mode === 'real'
        ? 'db 0x66, 0xb8\n middle: db 0xb1, 0x03, 0xf4, 0x90'
        : 'db 0xb8\n middle: db 0xb1, 0x03, 0xf4, 0x90';
    b.set({ rax: 0, rcx: 0 });
    const p = b.load(`start: ${code}\n cmp cl, 3\n jne middle\n hlt`);
    expect(b.run()).toMatchObject({ exit: 'hlt', rip: p.at('middle') + 3 });
    expect(Number(b.reg('rcx')) & 0xff).toBe(3);
    expect(Number(b.reg('rax'))).toBe(0x90f4_03b1);
  });

  test('a push over the code that runs', () => {
    if (mode === 'real') return; // its two bytes would have to be a HLT at the right place
    const b = machine(mode);
    const size = mode === 'long' ? 8 : 4;
    const p = b.load(`push ${mode === 'long' ? 'rax' : 'eax'}\n target: ud2\n ud2\n ud2\n ud2`);
    b.set({ rsp: p.at('target') + size, rax: mode === 'long' ? 0xf490_9090_9090_9090n : 0xf490_9090n });
    expect(b.run()).toMatchObject({ exit: 'hlt', vector: -1, rip: p.at('target') + size });
  });

  test('patched by an interrupt handler that returns to it', () => {
    const b = machine(mode);
    const target = b.load(`int 0x50\n target: mov ${wide}, 1\n hlt`);
    b.load(`mov byte [${here}${target.at('target') + 1}], 0x40\n ${iret}`, 0x11000);
    if (mode === 'real') b.put32(0x50 * 4, (0x1000 << 16) | 0x1000);
    else b.setGate(0x50, 0x11000);
    b.run();
    expect(Number(b.reg('rax')) & 0xff).toBe(0x40);
  });

  test('code written by a device between two runs', () => {
    const b = machine(mode);
    const p = b.load('out 0x80, al\n mov al, 1\n target: mov al, 2\n hlt');
    b.outside.onPortWrite = () => b.write((mode === 'real' ? 0x10000 : 0) + p.at('target') + 1, [0x66]);
    b.run();
    expect(Number(b.reg('rax')) & 0xff).toBe(0x66);
  });
});

describe('aliases and mappings', () => {
  const at = (ring = 0): Bench => machine('long', { ring });

  test('code patched through a second mapping of its page', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.load('mov al, 1\n ret', 0x11000);
    b.go(
      'call 0x11000\n mov bl, al\n mov byte [WINDOW+1], 2\n call 0x11000\n mov cl, al\n mov byte [WINDOW+1], 3\n call 0x11000\n hlt',
    );
    expect([b.reg('rbx') & 255n, b.reg('rcx') & 255n, b.reg('rax') & 255n]).toEqual([1n, 2n, 3n]);
  });

  test('the store comes first through the alias, when it is not yet known to hold code', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.load('mov al, 1\n ret', 0x11000);
    b.go('mov byte [WINDOW+0x800], 1\n call 0x11000\n mov bl, al\n mov byte [WINDOW+1], 2\n call 0x11000\n hlt');
    expect([b.reg('rbx') & 255n, b.reg('rax') & 255n]).toEqual([1n, 2n]);
  });

  test('one physical page executed at two addresses sees its own RIP', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.map(WINDOW + 0x1000, 0x11000, P | W);
    // lea rax, [rip+0]; call pushes the return address: both depend on where it runs.
    b.load('lea rax, [rel next]\n next: ret', 0x11000);
    b.go(
      `call WINDOW\n mov rbx, rax\n call WINDOW+0x1000\n mov rcx, rax\n call 0x11000\n mov rdx, rax\n call WINDOW\n hlt`,
    );
    expect([b.reg('rbx'), b.reg('rcx'), b.reg('rdx'), b.reg('rax')]).toEqual(
      [WINDOW + 7, WINDOW + 0x1007, 0x11007, WINDOW + 7].map(BigInt),
    );
  });

  test('a relative branch in such a page stays in its mapping', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.load('jmp over\n ud2\n align 32\n over: lea rax, [rel over]\n jmp back\n align 64\n back: ret', 0x11000);
    b.go('call 0x11000\n call WINDOW\n mov rbx, rax\n call 0x11000\n hlt');
    expect([b.reg('rbx'), b.reg('rax')]).toEqual([BigInt(WINDOW + 32), 0x11020n]);
  });

  test('a page remapped between two calls runs the new code after INVLPG', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P);
    b.load('mov al, 1\n ret', 0x11000);
    b.load('mov al, 2\n ret', 0x12000);
    b.go(
      `call WINDOW\n mov bl, al\n mov dword [${b.entry(WINDOW)}], ${0x12000 | P}\n invlpg [WINDOW]\n call WINDOW\n hlt`,
    );
    expect([b.reg('rbx') & 255n, b.reg('rax') & 255n]).toEqual([1n, 2n]);
  });

  test('the page under the running code is remapped: the next instruction comes from the new one', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P);
    const code = (value: number) =>
      `mov dword [${b.entry(WINDOW)}], ${0x12000 | P}\n invlpg [WINDOW]\n mov al, ${value}\n hlt`;
    b.load(code(1), 0x11000);
    b.load(code(2), 0x12000);
    b.go('jmp WINDOW');
    expect(b.reg('rax') & 255n).toBe(2n);
  });

  test('a CR3 write switches the code under RIP', () => {
    const b = at();
    // A second set of tables that differs in the page at WINDOW alone.
    for (const [from, to] of [
      [0xa000, 0x110000],
      [0xb000, 0x111000],
      [0xc000, 0x112000],
      [0xe000, 0x113000],
    ])
      b.write(to, b.engine.memory.view(from, 0x1000));
    b.put64(0x110000, 0x111007);
    b.put64(0x111000, 0x112007);
    b.put64(0x112010, 0x113007);
    b.map(WINDOW, 0x11000, P);
    b.put64(0x113000, 0x12000 | P);
    b.load('mov cr3, rdx\n mov al, 1\n hlt', 0x11000);
    b.load('mov cr3, rdx\n mov al, 2\n hlt', 0x12000);
    b.set({ rdx: 0x110000 });
    b.go('jmp WINDOW');
    expect(b.reg('rax') & 255n).toBe(2n);
  });

  test("a block chained across a page border follows the second page's mapping", () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.map(WINDOW + 0x1000, 0x12000, P | W);
    b.write(0x11ff0, [0xff, 0xc1, 0xeb, 0x0c]); // inc ecx; jmp +12 (to the next page's start)
    b.write(0x12000, [0xb0, 0x01, 0xc3]);
    b.write(0x13000, [0xb0, 0x02, 0xc3]);
    b.go(`
      mov r8d, 5
      again: call WINDOW+0xff0
      dec r8d
      jnz again
      mov bl, al
      mov dword [${b.entry(WINDOW + 0x1000)}], ${0x13000 | P}
      invlpg [WINDOW+0x1000]
      call WINDOW+0xff0
      hlt`);
    expect([b.reg('rbx') & 255n, b.reg('rax') & 255n, b.reg('rcx')]).toEqual([1n, 2n, 6n]);
  });

  test('straight-line code falls into the second page as it is mapped now', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.map(WINDOW + 0x1000, 0x12000, P | W);
    b.write(0x11ffc, [0xff, 0xc1, 0xff, 0xc1]);
    b.write(0x12000, [0xb0, 0x01, 0xc3]);
    b.write(0x13000, [0xb0, 0x02, 0xc3]);
    b.go(
      `call WINDOW+0xffc\n mov bl, al\n mov dword [${b.entry(WINDOW + 0x1000)}], ${0x13000 | P}\n invlpg [WINDOW+0x1000]\n call WINDOW+0xffc\n hlt`,
    );
    expect([b.reg('rbx') & 255n, b.reg('rax') & 255n, b.reg('rcx')]).toEqual([1n, 2n, 4n]);
  });

  test('an instruction over two pages is decoded anew when either half is patched', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P | W);
    b.map(WINDOW + 0x1000, 0x13000, P | W);
    b.write(0x11ffe, [0xb8, 0x11]);
    b.write(0x13000, [0x22, 0x33, 0x44, 0xc3]);
    b.go(
      'call WINDOW+0xffe\n mov ebx, eax\n mov byte [WINDOW+0x1001], 0x99\n call WINDOW+0xffe\n mov ecx, eax\n mov byte [WINDOW+0xfff], 0x77\n call WINDOW+0xffe\n hlt',
    );
    expect([b.reg('rbx'), b.reg('rcx'), b.reg('rax')]).toEqual([0x4433_2211n, 0x4499_2211n, 0x4499_2277n]);
  });

  test('a page that becomes NX faults at the next fetch', () => {
    const b = at();
    b.map(WINDOW, 0x11000, P);
    b.load('mov al, 1\n ret', 0x11000);
    expect(
      b.go(`call WINDOW\n mov dword [${b.entry(WINDOW) + 4}], 0x80000000\n invlpg [WINDOW]\n call WINDOW\n hlt`),
    ).toMatchObject({
      vector: V.PF,
      error: 0x11,
      cr2: WINDOW,
    });
  });

  test('user code made supervisor-only faults for the user', () => {
    const b = at(3);
    b.map(WINDOW, SPARE, P | U);
    b.write(SPARE, [0xc3]);
    b.load(`mov dword [${b.entry(WINDOW)}], ${SPARE | P}\n invlpg [WINDOW]\n iretq`, 0x11000);
    b.setGate(0x50, 0x11000, { dpl: 3 });
    expect(b.go('call WINDOW\n int 0x50\n call WINDOW\n int 0x40')).toMatchObject({
      vector: V.PF,
      error: 0x15,
      cr2: WINDOW,
    });
  });

  test('the same bytes decode by the mode they run in', () => {
    // 48 B8 imm64 in 64-bit code; DEC EAX; MOV EAX, imm32 ... in 32-bit code.
    const bytes = [0x48, 0xb8, 0x01, 0x00, 0x00, 0x00, 0xff, 0xc1, 0x90, 0x90, 0xcb];
    const b = at();
    b.write(0x11000, bytes);
    b.put64(DATA, 0x11000);
    b.put32(DATA + 4, 0x08);
    b.put32(DATA + 8, 0x11000);
    b.put32(DATA + 12, 0x18);
    b.set({ rcx: 0 });
    b.go('call far dword [DATA]\n mov rbx, rax\n call far dword [DATA+8]\n hlt');
    expect(b.reg('rbx')).toBe(0x9090_c1ff_0000_0001n);
    expect([b.reg('rax'), b.reg('rcx')]).toEqual([1n, 1n]);
  });

  test('an SSE store over code ahead', () => {
    const b = at();
    b.state.cr4 |= CR4.OSFXSR;
    b.write(DATA, [0xb0, 0x44, ...new Array(13).fill(NOP), 0xf4]);
    b.go('movups xmm0, [DATA]\n movups [rel target], xmm0\n target: zero 32');
    expect(b.reg('rax') & 255n).toBe(0x44n);
  });

  test('a locked compare-and-exchange patches like any store', () => {
    const b = at();
    b.go(
      'mov eax, 0x909001b0\n mov ecx, 0x909007b0\n lock cmpxchg [rel target], ecx\n target: mov al, 1\n nop16: db 0x90, 0x90\n hlt',
    );
    expect(b.reg('rax') & 255n).toBe(7n);
  });

  test('code cached before a snapshot of RAM is written is not run after it', () => {
    const b = at();
    b.load('mov al, 1\n hlt');
    b.run();
    expect(b.reg('rax') & 255n).toBe(1n);
    b.load('mov al, 2\n hlt');
    b.state.rip = BigInt(b.code);
    b.run();
    expect(b.reg('rax') & 255n).toBe(2n);
  });
});
