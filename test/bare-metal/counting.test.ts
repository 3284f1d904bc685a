/** Instructions are counted exactly, budgets hold, and runs repeat themselves: the machine's deterministic clock. */
import { describe, expect, test } from 'vitest';
import { type Bench, type Mode, machine } from './bench.js';
import { CODE, DATA, F, SPARE, STUBS, V, WINDOW } from './layout.js';

/** Instructions that a program retires up to and with its HLT. */
function count(b: Bench, source: string): number {
  const before = b.cpu.instructions;
  const out = b.go(source);
  expect(out.exit).toBe('hlt');
  return b.cpu.instructions - before;
}

describe.each<Mode>(['real', 'protected', 'long', 'compat'])('instruction counts in %s mode', (mode) => {
  test('straight-line code counts one each, the HLT too', () => {
    expect(count(machine(mode), 'nop\n inc ax\n add bx, cx\n mov dl, 1\n hlt')).toBe(5);
    expect(count(machine(mode), `${'inc cx\n'.repeat(300)} hlt`)).toBe(301);
  });

  test('loops and branches count what is executed', () => {
    const b = machine(mode);
    b.set({ rcx: 100 });
    expect(count(b, 'again: dec cx\n jnz again\n jmp over\n ud2\n over: hlt')).toBe(202);
  });

  test('calls, pushes and string instructions count one each', () => {
    const b = machine(mode);
    b.set({ rcx: 0x20, rdi: mode === 'real' ? 0x600 : DATA, rsi: mode === 'real' ? 0x600 : DATA });
    expect(count(b, 'push ax\n call sub\n pop ax\n rep stosb\n hlt\n sub: ret')).toBe(6);
  });

  test("an instruction that faults does not count; the handler's HLT does", () => {
    const b = machine(mode);
    const before = b.cpu.instructions;
    expect(b.go('inc ax\n inc ax\n ud2\n hlt').vector).toBe(V.UD);
    expect(b.cpu.instructions - before).toBe(4);
  });

  test('INT n counts once', () => {
    const b = machine(mode);
    const before = b.cpu.instructions;
    expect(b.go('inc ax\n int 0x50').vector).toBe(0x50);
    expect(b.cpu.instructions - before).toBe(3);
  });
});

describe('instruction counts', () => {
  test('a page fault in the middle of a block counts what came before, the attempt, and the restart', () => {
    const b = machine('long');
    b.load(`add rsp, 8\n mov dword [${b.entry(WINDOW)}], ${SPARE | 3}\n iretq`, 0x11000);
    b.setGate(V.PF, 0x11000);
    expect(count(b, 'inc ecx\n inc ecx\n mov eax, [WINDOW]\n inc ecx\n hlt')).toBe(5 + 1 + 3);
  });

  test('code that patches itself counts each instruction once', () => {
    const b = machine('long');
    expect(count(b, 'inc ecx\n mov byte [rel target+1], 7\n target: mov al, 1\n inc ecx\n hlt')).toBe(5);
  });

  test('single steps count the program, not the traps', () => {
    const b = machine('long');
    b.load('inc edx\n iretq', 0x11000);
    b.setGate(V.DB, 0x11000);
    b.set({ rdx: 0 });
    // push, popf, then 3 + int under TF; a trap after each of the 3 costs 2 instructions; the stub's HLT.
    const before = b.cpu.instructions;
    expect(b.go('push 0x102\n popfq\n inc ecx\n inc ecx\n inc ecx\n int 0x40').vector).toBe(0x40);
    expect(b.reg('rdx')).toBe(3n);
    expect(b.cpu.instructions - before).toBe(2 + 3 + 1 + 3 * 2 + 1);
  });

  test('interrupts count only their handlers', () => {
    const b = machine('long');
    b.state.rflags |= BigInt(F.IF);
    b.outside.acknowledge = () => {
      b.cpu.setInterruptRequest(false);
      return 0x50;
    };
    b.outside.onPortWrite = () => b.cpu.setInterruptRequest(true);
    b.load('inc edx\n iretq', 0x11000);
    b.setGate(0x50, 0x11000);
    expect(count(b, 'inc ecx\n out 0x80, al\n inc ecx\n hlt')).toBe(4 + 2);
  });

  test.each([1, 7, 64, 65, 1000, 12_345])('a budget of %i is overrun by less than a block', (budget) => {
    for (const source of [
      'again: inc ecx\n jmp again',
      `again: ${'inc ecx\n'.repeat(200)} jmp again`,
      'again: inc ecx\n inc edx\n out 0x80, al\n jmp again',
    ]) {
      const b = machine('long');
      b.load(source);
      b.cpu.setState(b.state);
      const before = b.cpu.instructions;
      expect(b.cpu.run(budget).kind).toBe('budget');
      const ran = b.cpu.instructions - before;
      expect(ran).toBeGreaterThanOrEqual(budget);
      expect(ran).toBeLessThan(budget + 64);
    }
  });

  test('slices add up to the same state whatever their size', () => {
    const source = `
        mov ecx, 300
      again: imul eax, eax, 1103515245
        add eax, 12345
        mov [DATA+rcx*4], eax
        push rax
        pop rbx
        xor edx, ebx
        ror edx, 3
        dec ecx
        jnz again
        hlt`;
    const results = [1, 2, 3, 10, 77, 100_000].map((slice) => {
      const b = machine('long');
      b.load(source);
      b.cpu.setState(b.state);
      const before = b.cpu.instructions;
      while (b.cpu.run(slice).kind === 'budget');
      const state = b.cpu.getState();
      return JSON.stringify([state.gpr, state.rip, state.rflags].flat().map(String)) + (b.cpu.instructions - before);
    });
    expect(new Set(results).size).toBe(1);
  });

  test('two runs of one program are alike to the last bit', () => {
    const run = () => {
      const b = machine('long');
      b.state.rflags |= BigInt(F.IF);
      let ticks = 0;
      b.outside.acknowledge = () => {
        b.cpu.setInterruptRequest(false);
        return 0x50;
      };
      b.outside.onPortWrite = () => {
        if (++ticks % 3 === 0) b.cpu.setInterruptRequest(true);
      };
      b.load('rdtsc\n add [SPARE], eax\n iretq', 0x11000);
      b.setGate(0x50, 0x11000);
      b.set({ rcx: 100 });
      b.go('again: rdrand rbx\n add [SPARE+8], rbx\n out 0x80, al\n rdtsc\n dec ecx\n jnz again\n hlt');
      return [b.state.gpr, b.state.rip, b.state.rflags, b.u64(SPARE), b.u64(SPARE + 8)].flat().map(String);
    };
    expect(run()).toEqual(run());
  });

  // Each of these would never retire an instruction: the slice must end all the same.
  test.each([
    ['a handler whose first instruction faults', 'long', (b: Bench) => b.setGate(V.UD, b.code, { ist: 1 }), 'ud2'],
    ['a handler that is not mapped', 'long', (b: Bench) => b.setGate(V.PF, WINDOW, { ist: 1 }), 'mov eax, [WINDOW]'],
    ['a real-mode stack that wraps for ever', 'real', (b: Bench) => b.put32(V.UD * 4, CODE << 12), 'ud2'],
    [
      'REP LODSB over the whole address space',
      'long',
      (b: Bench) => b.set({ rcx: -1, rsi: DATA }),
      'again: mov esi, DATA\n mov rcx, -1\n rep lodsb\n jmp again',
    ],
    ['REP STOSB of 4 GiB in one page', 'protected', (b: Bench) => b.set({ rcx: -1, rdi: 0xe000_0000 }), 'rep stosb'],
    [
      'REP MOVSB from MMIO to MMIO',
      'protected',
      (b: Bench) => b.set({ rcx: -1, rsi: 0xe000_0000, rdi: 0xe800_0000 }),
      'rep movsb',
    ],
    ['REP INSB for ever', 'protected', (b: Bench) => b.set({ rcx: -1, rdi: SPARE }), 'rep insb'],
  ] as const)('%s uses its slice up', (_name, mode, prepare, source) => {
    const b = machine(mode);
    b.load(source);
    prepare(b);
    b.cpu.setState(b.state);
    const exit = b.cpu.run(5000).kind;
    // REP LODSB leaves the mapped memory in the end, which a handler sees.
    expect(['budget', 'hlt']).toContain(exit);
    expect(b.outside.mmio.length).toBeLessThan(10_000);
  });

  test('kick ends the slice soon, from inside a port write too', () => {
    const b = machine('long');
    b.load('again: inc ecx\n jmp again');
    b.cpu.setState(b.state);
    b.cpu.kick();
    const before = b.cpu.instructions;
    expect(b.cpu.run(1_000_000).kind).toBe('kick');
    expect(b.cpu.instructions - before).toBeLessThan(100);
    const c = machine('long');
    c.load('again: inc ecx\n out 0x80, al\n jmp again');
    c.outside.onPortWrite = () => c.cpu.kick();
    c.cpu.setState(c.state);
    expect(c.cpu.run(1_000_000).kind).toBe('kick');
    expect(c.ports.length).toBe(1);
  });

  test('the state that comes out goes in again: a run in two halves through getState and setState', () => {
    const b = machine('long');
    b.load('mov ecx, 1000\n again: imul eax, eax, 77\n adc eax, ecx\n rcl edx, 3\n dec ecx\n jnz again\n hlt');
    b.cpu.setState(b.state);
    b.cpu.run(1500);
    b.cpu.setState(b.cpu.getState());
    while (b.cpu.run(1000).kind === 'budget');
    const half = b.cpu.getState();
    const c = machine('long');
    c.load('mov ecx, 1000\n again: imul eax, eax, 77\n adc eax, ecx\n rcl edx, 3\n dec ecx\n jnz again\n hlt');
    c.run();
    expect([half.gpr, half.rflags, half.rip]).toEqual([c.state.gpr, c.state.rflags, c.state.rip]);
  });

  test('the stubs lie where the frames say', () => {
    const b = machine('long');
    b.go('int 0x60');
    expect(Number(b.state.rip)).toBe(STUBS + 0x600 + 1);
  });
});
