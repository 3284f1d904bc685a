/** Interrupts from outside: IF, shadows, NMI, HLT, task priority (SDM vol. 3, 6.3, 6.7, 6.8). */
import { describe, expect, test } from 'vitest';
import { type Bench, type Mode, machine } from './bench.js';
import { DATA, F, IDT, K32, RING0_STACK, STACK, STUBS, U64, V } from './layout.js';

/** Asserts INTR with a vector until it is acknowledged; counts the acknowledgements. */
function request(b: Bench, vector: number): { acknowledged: number } {
  const seen = { acknowledged: 0 };
  b.outside.acknowledge = () => {
    seen.acknowledged++;
    b.cpu.setInterruptRequest(false);
    return vector;
  };
  b.cpu.setInterruptRequest(true);
  return seen;
}

/** INTR rises when the program writes to port 80h, NMI at port 81h. */
function onPorts(b: Bench, vector = 0x50): { acknowledged: number } {
  const seen = { acknowledged: 0 };
  b.outside.acknowledge = () => {
    seen.acknowledged++;
    b.cpu.setInterruptRequest(false);
    return vector;
  };
  b.outside.onPortWrite = ({ port }) => {
    if (port === 0x80) b.cpu.setInterruptRequest(true);
    if (port === 0x81) b.cpu.nmi();
  };
  return seen;
}

describe.each<Mode>(['real', 'protected', 'long'])('interrupts in %s mode', (mode) => {
  const iret = { real: 'iret', protected: 'iretd', long: 'iretq' }[mode as 'real'];

  test('wait while IF is clear, and come when STI has had its instruction', () => {
    const b = machine(mode);
    const seen = request(b, 0x50);
    const p = b.load('nop\n nop\n sti\n nop\n here: nop\n hlt');
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
    expect(seen.acknowledged).toBe(1);
  });

  test('STI; CLI lets nothing through', () => {
    const b = machine(mode);
    const seen = request(b, 0x50);
    expect(b.go('sti\n cli\n sti\n cli\n nop\n hlt').vector).toBe(-1);
    expect(seen.acknowledged).toBe(0);
  });

  test('STI while IF is set has no shadow', () => {
    const b = machine(mode);
    onPorts(b);
    b.state.rflags |= BigInt(F.IF);
    const p = b.load('out 0x80, al\n here: sti\n nop\n hlt');
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
  });

  test.each(['mov ss, ax', 'pop ss'])('%s holds an interrupt back that is due already', (load) => {
    if (mode === 'long' && load === 'pop ss') return;
    const b = machine(mode);
    request(b, 0x50);
    // STI's shadow covers the load, whose own covers the instruction behind it.
    const value = mode === 'real' ? 'xor eax, eax' : 'mov eax, KDATA';
    const push = mode === 'real' ? 'push ax' : mode === 'long' ? 'push rax' : 'push eax';
    const p = b.load(`${value}\n ${push}\n sti\n ${load}\n nop\n here: nop\n hlt`);
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
  });

  test('an interrupt that rises inside the shadow waits for its end', () => {
    const b = machine(mode);
    onPorts(b);
    b.state.rflags |= BigInt(F.IF);
    const select = mode === 'real' ? 'xor ax, ax' : 'mov ax, KDATA';
    // OUT comes under the shadow of MOV SS: the boundary behind OUT is the first that may be interrupted.
    const p = b.load(`${select}\n mov ss, ax\n out 0x80, al\n here: nop\n hlt`);
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
  });

  test('POPF and IRET that set IF have no shadow', () => {
    const b = machine(mode);
    request(b, 0x50);
    const flags =
      mode === 'real' ? 'push word 0x202\n popf' : mode === 'long' ? 'push 0x202\n popfq' : 'push 0x202\n popfd';
    const p = b.load(`${flags}\n here: nop\n hlt`);
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
  });

  test('the gate clears IF, IRET sets it, and the program goes on', () => {
    const b = machine(mode);
    const seen = onPorts(b);
    b.state.rflags |= BigInt(F.IF);
    const handler = b.load(`inc ecx\n pushf\n pop dx\n ${iret}`, 0x11000);
    if (mode === 'real') b.put32(0x50 * 4, (0x1000 << 16) | 0x1000);
    else b.setGate(0x50, handler.origin);
    expect(b.go('out 0x80, al\n nop\n out 0x80, al\n nop\n hlt').vector).toBe(-1);
    expect(Number(b.reg('rcx'))).toBe(2);
    expect(Number(b.reg('rdx')) & F.IF).toBe(0);
    expect(Number(b.state.rflags) & F.IF).toBe(F.IF);
    expect(seen.acknowledged).toBe(2);
  });

  test('a request that has gone away is spurious: nothing happens', () => {
    const b = machine(mode);
    b.cpu.setInterruptRequest(true);
    let asked = 0;
    b.outside.acknowledge = () => {
      asked++;
      b.cpu.setInterruptRequest(false);
      return -1;
    };
    expect(b.go('sti\n nop\n nop\n hlt')).toMatchObject({ vector: -1, exit: 'hlt' });
    expect(asked).toBe(1);
  });

  test('HLT waits for an interrupt, which returns behind it', () => {
    const b = machine(mode);
    const p = b.load('sti\n hlt\n here: hlt');
    expect(b.run()).toMatchObject({ exit: 'hlt', vector: -1, rip: p.at('here') });
    expect(b.cpu.getState().activity).toBe('halted');
    expect(b.resume().exit).toBe('hlt');
    request(b, 0x50);
    expect(b.resume()).toMatchObject({ vector: 0x50, rip: p.at('here') });
  });

  test('STI; HLT with an interrupt already pending takes it behind the HLT', () => {
    const b = machine(mode);
    request(b, 0x50);
    const p = b.load('sti\n hlt\n here: hlt');
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
  });

  test('HLT with IF clear wakes only for NMI', () => {
    const b = machine(mode);
    const p = b.load('hlt\n here: hlt');
    b.run();
    const seen = request(b, 0x50);
    expect(b.resume()).toMatchObject({ exit: 'hlt', rip: p.at('here') });
    expect(seen.acknowledged).toBe(0);
    b.cpu.nmi();
    expect(b.resume()).toMatchObject({ vector: V.NMI, rip: p.at('here') });
  });

  test('NMI ignores IF and is blocked until IRET, then the one that waits comes', () => {
    const b = machine(mode);
    onPorts(b);
    const handler = b.load(
      `inc ecx\n cmp cl, 2\n je last\n out 0x81, al\n nop\n mov edx, ecx\n ${iret}\n last: hlt`,
      0x11000,
    );
    if (mode === 'real') b.put32(V.NMI * 4, (0x1000 << 16) | 0x1000);
    else b.setGate(V.NMI, handler.origin);
    b.set({ rcx: 0, rdx: 0 });
    const p = b.load('out 0x81, al\n here: inc ebx\n hlt');
    const out = b.run();
    expect(out.rip).toBe(handler.at('last') + 1);
    expect(Number(b.reg('rdx')), 'the second NMI waited for the first handler').toBe(1);
    expect(Number(b.reg('rbx')), 'and came before the program went on').toBe(0);
    expect(p.at('here')).toBeGreaterThan(0);
  });

  test('NMI goes before INTR', () => {
    const b = machine(mode);
    const seen = onPorts(b);
    b.state.rflags |= BigInt(F.IF);
    b.outside.onPortWrite = () => {
      b.cpu.setInterruptRequest(true);
      b.cpu.nmi();
    };
    expect(b.go('out 0x80, al\n nop\n hlt').vector).toBe(V.NMI);
    expect(seen.acknowledged).toBe(0);
  });

  test('an interrupt of the running program is seen within a loop that never ends', () => {
    const b = machine(mode);
    b.state.rflags |= BigInt(F.IF);
    b.load('again: inc ecx\n jmp again');
    b.run(1000);
    request(b, 0x50);
    const before = b.cpu.instructions;
    expect(b.resume()).toMatchObject({ vector: 0x50 });
    expect(b.cpu.instructions - before).toBeLessThan(200);
  });
});

describe('task priority', () => {
  test('CR8 reads and writes what the machine keeps', () => {
    const b = machine('long');
    b.outside.tpr = 3;
    expect(b.go('mov rcx, cr8\n mov eax, 9\n mov cr8, rax\n mov rdx, cr8\n hlt').vector).toBe(-1);
    expect([b.reg('rcx'), b.reg('rdx'), b.outside.tpr]).toEqual([3n, 9n, 9]);
  });

  test('CR8 above 15 is #GP(0), and CR8 belongs to ring 0', () => {
    const b = machine('long');
    expect(b.go('mov eax, 16\n mov cr8, rax\n hlt')).toMatchObject({ vector: V.GP, error: 0 });
    expect(machine('long', { ring: 3 }).go('mov rax, cr8\n int 0x40')).toMatchObject({ vector: V.GP, error: 0 });
  });

  test('an interrupt that the new priority lets through is taken at once', () => {
    const b = machine('long');
    b.state.rflags |= BigInt(F.IF);
    const seen = request(b, 0x50);
    b.cpu.setInterruptRequest(false);
    const write = b.outside;
    Object.defineProperty(write, 'tpr', { get: () => 0, set: () => b.cpu.setInterruptRequest(true) });
    const p = b.load('xor eax, eax\n mov cr8, rax\n here: nop\n hlt');
    expect(b.run()).toMatchObject({ vector: 0x50, rip: p.at('here') });
    expect(seen.acknowledged).toBe(1);
  });
});

describe('interrupts and privilege', () => {
  test('ring 3 is interrupted onto the inner stack and gets its own back', () => {
    const b = machine('long', { ring: 3 });
    b.state.rflags |= BigInt(F.IF);
    b.load('inc dword [DATA]\n iretq', 0x11000);
    b.setGate(0x50, 0x11000);
    b.load('again: inc ecx\n jmp again');
    b.run(1000);
    const sp = b.reg('rsp');
    request(b, 0x50);
    b.resume(1000);
    expect(b.u32(DATA)).toBe(1);
    expect(b.reg('rsp')).toBe(sp);
    expect(b.state.cs.selector).toBe(U64);
    expect(b.u64(RING0_STACK - 32)).toBe(BigInt(U64));
  });

  test('a gate of DPL 0 takes interrupts from ring 3', () => {
    const b = machine('long', { ring: 3 });
    b.state.rflags |= BigInt(F.IF);
    b.setGate(0x20, STUBS + 0x200, { dpl: 0 });
    request(b, 0x20);
    expect(b.go('again: jmp again')).toMatchObject({ vector: 0x20 });
  });

  test('an interrupt whose gate is absent is #NP with EXT and IDT', () => {
    const b = machine('protected');
    b.state.rflags |= BigInt(F.IF);
    b.put32(IDT + 0x50 * 8 + 4, 0);
    b.setGate(0x50, 0, { present: false });
    request(b, 0x50);
    const p = b.load('here: nop\n hlt');
    expect(b.run()).toMatchObject({ vector: V.NP, error: 0x50 * 8 + 3, rip: p.at('here'), cs: K32 });
  });

  test('a page fault while an interrupt is delivered restarts before the next instruction', () => {
    const b = machine('long');
    b.state.rflags |= BigInt(F.IF);
    b.setGate(V.PF, STUBS + 0xe0, { ist: 1 });
    b.set({ rsp: 0x40_1000 });
    request(b, 0x50);
    const p = b.load('here: inc ecx\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, error: 2, cr2: 0x40_0ff8, rip: p.at('here') });
    expect(b.reg('rcx')).toBe(0n);
  });

  test('INIT on the boot processor resets it', () => {
    const b = machine('long');
    b.go('hlt');
    b.cpu.init();
    expect(b.cpu.getState()).toMatchObject({ rip: 0xfff0n, activity: 'running' });
  });

  test('NMI on an IST stack, and IRETQ back', () => {
    const b = machine('long');
    onPorts(b);
    b.load('mov rcx, rsp\n iretq', 0x11000);
    b.setGate(V.NMI, 0x11000, { ist: 2 });
    expect(b.go('out 0x81, al\n nop\n hlt')).toMatchObject({ vector: -1, sp: STACK });
    expect(b.reg('rcx')).toBe(0x8000n - 40n);
  });

  test('REP string instructions are interrupted between elements and go on', () => {
    const b = machine('long');
    const seen = onPorts(b);
    b.state.rflags |= BigInt(F.IF);
    b.load('inc r8d\n mov r9, rcx\n iretq', 0x11000);
    b.setGate(0x50, 0x11000);
    b.set({ rcx: 2000, rsi: 0x100000, rdx: 0x80, r8: 0 });
    let writes = 0;
    b.outside.onPortWrite = () => {
      if (++writes === 100) b.cpu.setInterruptRequest(true);
    };
    expect(b.go('rep outsb\n hlt').vector).toBe(-1);
    expect(b.reg('r8')).toBe(1n);
    expect(Number(b.reg('r9'))).toBeGreaterThan(0);
    expect(writes).toBe(2000);
    expect(seen.acknowledged).toBe(1);
  });
});
