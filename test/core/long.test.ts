import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CODE, enterLongMode, gate, NX, P, PT, STACK_IST1, STACK0, STACK3, TSS, U, W } from './long-mode.js';
import { TestMachine } from './machine.js';

let m: TestMachine;
beforeAll(async () => void (await TestMachine.create()));
beforeEach(async () => {
  m = await TestMachine.create();
});

/** Runs the program up to HLT. */
function runToHalt(): void {
  expect(m.run()).toEqual({ kind: 'hlt' });
}

describe('64-bit exceptions', () => {
  test('a page fault pushes SS, RSP, RFLAGS with RF, CS, RIP and the error code on an aligned stack, and sets CR2', () => {
    const p = enterLongMode(
      m,
      `
      mov rsp, ${STACK0 - 8}
      mov rbx, 0x400123
      fault: mov [rbx], eax
      hlt
      vector_14: mov r8, cr2
      mov r9, [rsp]
      mov r10, [rsp+8]
      mov r11, [rsp+16]
      mov r12, [rsp+24]
      mov r13, [rsp+32]
      mov r14, rsp
      hlt
    `,
    );
    m.setU64(PT, 0n);
    runToHalt();
    const g = m.state.gpr;
    expect(g[8]).toBe(0x400123n);
    expect(g[9]).toBe(2n);
    expect(g[10]).toBe(BigInt(p.at('fault')));
    expect(g[11]).toBe(8n);
    expect(g[12] & 0x10000n).toBe(0x10000n);
    expect(g[13]).toBe(BigInt(STACK0 - 8));
    expect(g[14]).toBe(BigInt(STACK0 - 16 - 48));
  });

  test('the faulting instruction is restarted after IRETQ once the page is there', () => {
    enterLongMode(
      m,
      `
      mov eax, 7
      add dword [0x401000], eax
      mov ecx, [0x401000]
      hlt
      vector_14: push rax
      mov qword [${PT + 8}], 0x401003
      invlpg [0x401000]
      pop rax
      add rsp, 8
      iretq
    `,
    );
    m.setU64(PT + 8, 0n);
    runToHalt();
    expect(m.state.gpr[1]).toBe(7n);
    expect(m.u64(PT + 8) & 0x60n).toBe(0x60n);
  });

  test('accessed and dirty bits: a read sets A, a write D, and only the first write after a read goes to the tables', () => {
    enterLongMode(m, 'mov eax, [0x402000]\n mov [0x403000], eax\n hlt');
    runToHalt();
    expect(m.u64(PT + 16) & 0x60n).toBe(0x20n);
    expect(m.u64(PT + 24) & 0x60n).toBe(0x60n);
  });

  test.each([
    ['a write to a read-only page in ring 0 under WP', W, 'mov [0x404000], eax', 3n],
    ['a fetch from a no-execute page', NX, 'jmp 0x404000', 0x11n],
    ['a reserved bit', 1n << 45n, 'mov eax, [0x404000]', 9n],
  ])('%s faults with the right error code', (_what, bit, source, error) => {
    enterLongMode(m, `${source}\n hlt\n vector_14: pop r9\n hlt`);
    const entry = m.u64(PT + 4 * 8);
    m.setU64(PT + 4 * 8, bit === W ? entry & ~W : entry | bit);
    runToHalt();
    expect(m.state.gpr[9]).toBe(error);
  });

  test('a general-protection fault in the delivery of a page fault is a double fault, and one in that a shutdown', () => {
    enterLongMode(m, 'mov [0x405000], eax\n hlt\n vector_8: pop r9\n mov r10, 0xdf\n hlt');
    m.setU64(PT + 5 * 8, 0n);
    runToHalt();
    expect(m.state.gpr[9]).toBe(0n);
    expect(m.state.gpr[10]).toBe(0xdfn);
  });

  test('without a handler for the double fault the machine shuts down', () => {
    enterLongMode(m, 'mov [0x405000], eax\n hlt');
    m.setU64(PT + 5 * 8, 0n);
    expect(m.run()).toEqual({ kind: 'shutdown', detail: expect.stringContaining('triple fault') });
  });

  test('an address that is not canonical is #GP(0)', () => {
    enterLongMode(m, 'mov rbx, 0x800000000000\n mov eax, [rbx]\n hlt\n vector_13: pop r9\n mov r10, 1\n hlt');
    runToHalt();
    expect(m.state.gpr.slice(9, 11)).toEqual([0n, 1n]);
  });

  test('an interrupt with IST switches the stack even in ring 0', () => {
    enterLongMode(m, 'int 0x30\n hlt\n handler: mov r14, rsp\n hlt');
    const p = enterLongMode(m, 'int 0x30\n hlt\n handler: mov r14, rsp\n hlt');
    gate(m, 0x30, p.at('handler'), { ist: 1 });
    runToHalt();
    expect(m.state.gpr[14]).toBe(BigInt(STACK_IST1 - 40));
  });
});

describe('rings', () => {
  const toRing3 = `
    push 0x23
    push ${STACK3}
    push 0x202
    push 0x2b
    lea rax, [rel user]
    push rax
    iretq
  `;

  test('IRETQ goes to ring 3, INT comes back on RSP0 with the user frame', () => {
    const p = enterLongMode(
      m,
      `
      ${toRing3}
      user: mov ecx, 0x33
      int 0x80
      back: nop
      vector_128: mov r8, [rsp]
      mov r9, [rsp+8]
      mov r10, [rsp+24]
      mov r11, [rsp+32]
      mov r12, ss
      mov r14, rsp
      hlt
    `,
    );
    runToHalt();
    const s = m.state;
    expect(s.gpr.slice(8, 13)).toEqual([BigInt(p.at('back')), 0x2bn, BigInt(STACK3), 0x23n, 0n]);
    expect(s.gpr[14]).toBe(BigInt(STACK0 - 40));
    expect(s.cs.selector).toBe(8);
  });

  test('INT to a gate of DPL 0 from ring 3 is #GP with the gate as error code', () => {
    enterLongMode(m, `${toRing3}\n user: int 0x30\n vector_48: hlt\n vector_13: pop r9\n hlt`);
    runToHalt();
    expect(m.state.gpr[9]).toBe(0x182n);
  });

  test.each([
    'hlt',
    'cli',
    'mov rax, cr0',
    'rdmsr',
    'lgdt [0x1000]',
    'in al, 0x60',
    'invlpg [0]',
    'swapgs',
    'wbinvd',
    'clts',
  ])('%s in ring 3 is #GP(0)', (source) => {
    enterLongMode(m, `${toRing3}\n user: ${source}\n nop\n vector_13: pop r9\n mov r10, 0x99\n hlt`);
    runToHalt();
    expect(m.state.gpr.slice(9, 11)).toEqual([0n, 0x99n]);
  });

  test('ring 3 cannot read a supervisor page, and the error code says user', () => {
    enterLongMode(m, `${toRing3}\n user: mov eax, [0x406000]\n vector_14: pop r9\n hlt`);
    m.setU64(PT + 6 * 8, 0x406000n | P | W);
    runToHalt();
    expect(m.state.gpr[9]).toBe(5n);
  });

  test('SYSCALL and SYSRET go there and back with RCX, R11 and FMASK', () => {
    const p = enterLongMode(
      m,
      `
      mov ecx, 0xc0000081
      xor eax, eax
      mov edx, 0x00180008
      wrmsr
      mov ecx, 0xc0000082
      lea rax, [rel kernel]
      xor edx, edx
      wrmsr
      mov ecx, 0xc0000084
      mov eax, 0x200
      wrmsr
      ${toRing3}
      user: stc
      syscall
      back: mov r15, 0x77
      int 0x80
      kernel: mov r8, rcx
      mov r9, r11
      pushfq
      pop r10
      mov r12, cs
      mov r13, ss
      db 0x48
      sysret
      vector_128: mov r14, [rsp+8]
      hlt
    `,
    );
    m.setU64(0x5018, 0x00cffb000000ffffn);
    runToHalt();
    const g = m.state.gpr;
    expect(g[8]).toBe(BigInt(p.at('back')));
    expect(g[9] & 0x201n).toBe(0x201n);
    expect(g[10] & 0x201n).toBe(1n);
    expect(g[12]).toBe(8n);
    expect(g[13]).toBe(0x10n);
    expect(g[14]).toBe(0x2bn);
    expect(g[15]).toBe(0x77n);
  });

  test('SMAP keeps ring 0 from user pages unless AC is set, SMEP from executing them', () => {
    enterLongMode(
      m,
      `
      mov rax, cr4
      or eax, 0x300000
      mov rcx, 0x600000
      mov cr4, rax
      stac
      mov ebx, [0x407000]
      mov r10, 1
      clac
      mov ebx, [0x407000]
      hlt
      vector_14: pop r9
      hlt
    `,
    );
    // The code's own page must be a supervisor page now.
    m.setU64(0x3000, 0x83n);
    runToHalt();
    expect(m.state.gpr.slice(9, 11)).toEqual([1n, 1n]);
  });
});

describe('events', () => {
  test('STI; HLT sleeps through, and the interrupt wakes it', () => {
    enterLongMode(m, 'sti\n hlt\n mov r8, 5\n cli\n hlt\n vector_32: mov r9, 6\n iretq');
    runToHalt();
    expect(m.state.gpr[8]).toBe(0n);
    m.interrupts.push(32);
    m.cpu.setInterruptRequest(true);
    runToHalt();
    expect(m.state.gpr.slice(8, 10)).toEqual([5n, 6n]);
  });

  test('an interrupt that waits is not taken on the instruction after STI, but on the next', () => {
    const p = enterLongMode(
      m,
      'nop\n sti\n inc r8\n next: inc r8\n cli\n hlt\n vector_32: mov r9, [rsp]\n mov r10, r8\n iretq',
    );
    m.interrupts.push(32);
    m.cpu.setInterruptRequest(true);
    runToHalt();
    expect(m.state.gpr.slice(8, 11)).toEqual([2n, BigInt(p.at('next')), 1n]);
  });

  test('STI; NOP; CLI is a window for interrupts', () => {
    enterLongMode(m, 'sti\n nop\n cli\n hlt\n vector_32: mov r9, 1\n iretq');
    m.interrupts.push(32);
    m.cpu.setInterruptRequest(true);
    runToHalt();
    expect(m.state.gpr[9]).toBe(1n);
  });

  test('an NMI is taken with IF clear, and another one only after IRET', () => {
    enterLongMode(m, 'mov ecx, 1000\n l: loop l\n hlt\n vector_2: inc r9\n out 0x80, al\n inc r10\n iretq');
    const sink = m.output;
    m.cpu.nmi();
    runToHalt();
    expect(m.state.gpr.slice(9, 11)).toEqual([1n, 1n]);
    expect(sink.length).toBe(1);
  });

  test('TF traps after each instruction with BS in DR6', () => {
    enterLongMode(
      m,
      `
      pushfq
      or qword [rsp], 0x100
      popfq
      nop
      nop
      nop
      hlt
      vector_1: inc r9
      mov r10, dr6
      cmp r9, 3
      jne out
      and qword [rsp+16], 0xfffffffffffffeff
      out: iretq
    `,
    );
    runToHalt();
    expect(m.state.gpr[9]).toBe(3n);
    expect(m.state.gpr[10] & 0x4000n).toBe(0x4000n);
  });

  test('a data breakpoint traps after the write, an instruction breakpoint before the instruction', () => {
    const p = enterLongMode(
      m,
      `
      mov eax, 0x408004
      mov dr0, rax
      lea rax, [rel stop]
      mov dr1, rax
      mov eax, 0xd0405
      mov dr7, rax
      mov dword [0x408000], 1
      mov dword [0x408004], 1
      after: nop
      stop: mov r8, 1
      hlt
      vector_1: mov r14, dr6
      inc r9
      cmp r9, 1
      jne second
      mov r10, [rsp]
      mov r12, r14
      xor eax, eax
      mov dr6, rax
      iretq
      second: mov r11, [rsp]
      mov r13, r14
      or qword [rsp+16], 0x10000
      iretq
    `,
    );
    runToHalt();
    const g = m.state.gpr;
    expect(g[10]).toBe(BigInt(p.at('after')));
    expect(g[12] & 0xfn).toBe(1n);
    expect(g[11]).toBe(BigInt(p.at('stop')));
    expect(g[13] & 0xfn).toBe(2n);
    expect(g[8]).toBe(1n);
    expect(g[9]).toBe(2n);
  });

  test('a budget ends a loop, and the loop goes on in the next slice', () => {
    enterLongMode(m, 'l: inc r8\n jmp l');
    expect(m.run(1000)).toEqual({ kind: 'budget' });
    const first = m.state.gpr[8];
    expect(first).toBeGreaterThan(400n);
    expect(first).toBeLessThan(600n);
    expect(m.run(1000)).toEqual({ kind: 'budget' });
    expect(m.state.gpr[8]).toBeGreaterThan(first + 400n);
    expect(m.cpu.instructions).toBeGreaterThanOrEqual(2000);
  });

  test('a kick makes run return soon', async () => {
    m = await TestMachine.create({ sink: { portOut: () => m.cpu.kick() } });
    enterLongMode(m, 'out 0x80, al\n l: inc r8\n jmp l');
    expect(m.run()).toEqual({ kind: 'kick' });
    expect(m.state.gpr[8]).toBeLessThan(3n);
  });
});

describe('code that changes', () => {
  test('a store into the running block takes effect on the next instruction', () => {
    enterLongMode(
      m,
      `
      lea rbx, [rel target]
      mov byte [rbx+1], 0x22
      target: mov al, 0x11
      hlt
    `,
    );
    runToHalt();
    expect(m.state.gpr[0] & 0xffn).toBe(0x22n);
  });

  test('a loop that rewrites a block which ran before gets the new code each time', () => {
    enterLongMode(
      m,
      `
      xor r8, r8
      xor ecx, ecx
      again: lea rbx, [rel patch]
      mov [rbx+1], ecx
      call patch
      add r8, rax
      inc ecx
      cmp ecx, 10
      jne again
      hlt
      align 64
      patch: mov eax, 0
      ret
    `,
    );
    runToHalt();
    expect(m.state.gpr[8]).toBe(45n);
  });

  test('code written through another linear address of the same page is noticed', () => {
    // 0x410000 is mapped to the page of the code, too.
    enterLongMode(
      m,
      `
      call patch
      mov byte [0x410000 + (patch - ${CODE}) + 1], 9
      mov r8, rax
      call patch
      hlt
      align 64
      patch: mov eax, 1
      ret
    `,
    );
    m.setU64(PT + 16 * 8, BigInt(CODE) | P | W | U);
    runToHalt();
    expect(m.state.gpr[8]).toBe(1n);
    expect(m.state.gpr[0]).toBe(9n);
  });

  test('a device that writes into code is noticed', async () => {
    m = await TestMachine.create({
      sink: { portOut: () => m.write(p.at('patch') + 1, [5]) },
    });
    const p = enterLongMode(
      m,
      'call patch\n mov r8, rax\n out 0x80, al\n call patch\n hlt\n align 64\n patch: mov eax, 1\n ret',
    );
    runToHalt();
    expect(m.state.gpr[8]).toBe(1n);
    expect(m.state.gpr[0]).toBe(5n);
  });

  test('an instruction across a page boundary follows the second page when that is remapped', () => {
    // `mov eax, imm32` with its immediate's last bytes on the next page.
    enterLongMode(
      m,
      `
      mov rbx, 0x420ffd
      call rbx
      mov r8, rax
      mov qword [${PT} + 0x21*8], 0x422007
      invlpg [0x421000]
      call rbx
      hlt
    `,
    );
    m.write(0x420ffd, [0xb8, 0x11, 0x22, 0x33, 0x44, 0xc3]);
    m.write(0x422000, [0x55, 0x66, 0xc3]);
    runToHalt();
    expect(m.state.gpr[8]).toBe(0x44332211n);
    expect(m.state.gpr[0]).toBe(0x66552211n);
  });

  test('after CR3 changes, the same address runs other code', () => {
    enterLongMode(
      m,
      `
      mov rbx, 0x430000
      call rbx
      mov r8, rax
      mov qword [${PT} + 0x30*8], 0x431007
      mov rcx, cr3
      mov cr3, rcx
      call rbx
      hlt
    `,
    );
    m.write(0x430000, [0xb8, 1, 0, 0, 0, 0xc3]);
    m.write(0x431000, [0xb8, 2, 0, 0, 0, 0xc3]);
    runToHalt();
    expect([m.state.gpr[8], m.state.gpr[0]]).toEqual([1n, 2n]);
  });
});

describe('memory that is not RAM', () => {
  test('8-byte accesses become two of 4, page-crossing ones go to RAM and MMIO', () => {
    enterLongMode(
      m,
      'mov rax, 0x1122334455667788\n mov [0x409000], rax\n mov rbx, [0x409010]\n mov [0x409ffe], eax\n hlt',
    );
    m.setU64(PT + 9 * 8, 0xd0000000n | P | W);
    m.setU64(PT + 10 * 8, 0x40a000n | P | W);
    runToHalt();
    expect(m.mmio).toEqual([
      ['w', 0xd0000000, 4, 0x55667788],
      ['w', 0xd0000004, 4, 0x11223344],
      ['r', 0xd0000010, 4, 0],
      ['r', 0xd0000014, 4, 0],
      ['w', 0xd0000ffe, 2, 0x7788],
    ]);
    expect(m.state.gpr[3]).toBe(0x14_0000_0010n);
    expect(m.u16(0x40a000)).toBe(0x5566);
  });
});

describe('strings', () => {
  test('REP MOVSB forwards over an overlap repeats the pattern; backwards it moves', () => {
    enterLongMode(
      m,
      `
      mov rsi, 0x440000
      mov rdi, 0x440002
      mov ecx, 10
      rep movsb
      mov rsi, 0x450009
      mov rdi, 0x45000b
      mov ecx, 10
      std
      rep movsb
      hlt
    `,
    );
    m.write(0x440000, [1, 2]);
    m.write(0x450000, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    runToHalt();
    expect([...m.engine.memory.view(0x440000, 12)]).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
    expect([...m.engine.memory.view(0x450002, 10)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(m.state.gpr[7]).toBe(0x450001n);
  });

  test('REP STOSQ over pages that fault leaves exact counts and goes on after the handler', () => {
    enterLongMode(
      m,
      `
      mov rdi, 0x460f00
      mov ecx, 1024
      mov rax, 0x0102030405060708
      rep stosq
      hlt
      vector_14: mov r8, rcx
      mov r9, rdi
      push rax
      mov qword [${PT} + 0x61*8], 0x461003
      pop rax
      add rsp, 8
      iretq
    `,
    );
    m.setU64(PT + 0x61 * 8, 0n);
    runToHalt();
    expect(m.state.gpr[8]).toBe(1024n - 32n);
    expect(m.state.gpr[9]).toBe(0x461000n);
    expect(m.u64(0x461000)).toBe(0x0102030405060708n);
    expect(m.u64(0x462ef8)).toBe(0x0102030405060708n);
    expect(m.u64(0x462f00)).toBe(0n);
  });

  test('REPNE SCASB finds the zero, REPE CMPSB the difference, with flags and counts', () => {
    enterLongMode(
      m,
      `
      mov rdi, 0x470ffb
      mov rcx, -1
      xor eax, eax
      repne scasb
      mov r8, rcx
      mov r9, rdi
      mov rsi, 0x470ffb
      mov rdi, 0x480000
      mov ecx, 100
      repe cmpsb
      seta r10b
      mov r11, rcx
      hlt
    `,
    );
    m.write(
      0x470ffb,
      [...'longer string'].map((c) => c.charCodeAt(0)),
    );
    m.write(
      0x480000,
      [...'longer strand'].map((c) => c.charCodeAt(0)),
    );
    runToHalt();
    const g = m.state.gpr;
    expect(g[9]).toBe(0x470ffbn + 14n);
    expect(BigInt.asIntN(64, g[8])).toBe(-15n);
    expect(g[10]).toBe(1n);
    expect(g[11]).toBe(100n - 11n);
  });

  test('REP MOVSQ of a megabyte lets an interrupt in', async () => {
    enterLongMode(
      m,
      'sti\n mov rsi, 0x500000\n mov rdi, 0x600000\n mov ecx, 0x20000\n rep movsq\n cli\n hlt\n vector_32: mov r9, rcx\n iretq',
    );
    m.setU64(0x500000 + 0xffff8, 0xabcdn);
    m.interrupts.push(32);
    m.run(3);
    m.cpu.setInterruptRequest(true);
    runToHalt();
    expect(m.u64(0x6ffff8)).toBe(0xabcdn);
    expect(m.state.gpr[1]).toBe(0n);
  });
});

describe('state', () => {
  test('the TSS that LTR loads is marked busy, and loading it again is #GP', () => {
    enterLongMode(m, 'mov ax, 0x30\n ltr ax\n mov r8, 1\n ltr ax\n hlt\n vector_13: pop r9\n hlt');
    m.write(0x5035, [0x89]);
    runToHalt();
    expect(m.state.gpr.slice(8, 10)).toEqual([1n, 0x30n]);
    expect(m.state.tr).toMatchObject({ selector: 0x30, base: BigInt(TSS), limit: 0x67 });
  });

  test('FXSAVE64 and FXRSTOR64 bring XMM registers back; XSAVE writes XSTATE_BV', () => {
    enterLongMode(
      m,
      `
      mov rax, cr4
      or eax, 0x40000
      mov cr4, rax
      mov eax, 3
      xor edx, edx
      xor ecx, ecx
      xsetbv
      mov rax, 0x1234
      movq xmm9, rax
      db 0x48
      fxsave [0x490000]
      pxor xmm9, xmm9
      db 0x48
      fxrstor [0x490000]
      movq r8, xmm9
      mov eax, 3
      xsave [0x491000]
      pxor xmm9, xmm9
      xrstor [0x491000]
      movq r9, xmm9
      mov r10, [0x491200]
      hlt
    `,
    );
    runToHalt();
    expect(m.state.gpr.slice(8, 11)).toEqual([0x1234n, 0x1234n, 3n]);
  });

  test('CPUID names the vendor and itself, hides OSXSAVE until CR4 has it', () => {
    enterLongMode(
      m,
      `
      xor eax, eax
      cpuid
      mov r8, rbx
      mov eax, 1
      xor ecx, ecx
      cpuid
      mov r9, rcx
      mov eax, 0x40000000
      cpuid
      mov r10, rbx
      mov r11, rcx
      mov r12, rdx
      hlt
    `,
    );
    runToHalt();
    const g = m.state.gpr;
    const text = (v: bigint) => String.fromCharCode(...[0n, 8n, 16n, 24n].map((s) => Number((v >> s) & 0xffn)));
    expect(text(g[8])).toBe('Genu');
    expect(g[9] & (3n << 26n)).toBe(1n << 26n);
    expect(text(g[10]) + text(g[11]) + text(g[12])).toBe('TypevisorTV ');
  });

  test('a write to IA32_TSC moves TSC_ADJUST, and an unknown MSR is #GP', () => {
    enterLongMode(
      m,
      `
      mov ecx, 0x10
      xor edx, edx
      mov eax, 0x10000000
      wrmsr
      rdtsc
      mov r8, rax
      mov ecx, 0x3b
      rdmsr
      mov r9, rax
      mov ecx, 0x12345
      rdmsr
      hlt
      vector_13: pop r10
      mov r11, 1
      hlt
    `,
    );
    runToHalt();
    const g = m.state.gpr;
    expect(g[8] - 0x10000000n).toBeLessThan(1000n);
    expect(0x10000000n - g[9]).toBeLessThan(1000n);
    expect(g.slice(10, 12)).toEqual([0n, 1n]);
  });
});
