/** Real, protected, compatibility and 64-bit mode, v8086, and the ways between (SDM vol. 3, 9.8, 9.9, 20). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import {
  ATTR,
  CODE,
  CR0,
  CR4,
  DATA,
  EFER,
  F,
  FREE,
  GDT,
  GDT_LIMIT,
  K32,
  K64,
  KDATA,
  RING0_STACK,
  ROOT,
  SPARE,
  STACK,
  V,
} from './layout.js';

/** A GDTR image for LGDT at 500h, and a 16-bit code segment over the program at FREE. */
function withGdt(b: Bench): Bench {
  b.put16(0x500, GDT_LIMIT);
  b.put64(0x502, GDT);
  b.setDescriptor(FREE, CODE, 0xffff, ATTR.code16);
  return b;
}

describe('modes', () => {
  test.each(['real', 'protected', 'long', 'compat', 'v8086'] as const)(
    'a program runs and faults in %s mode',
    (mode) => {
      const b = machine(mode);
      const p = b.load('mov ax, 5\n add ax, 6\n mov bl, 0\n here: div bl\n hlt');
      expect(b.run()).toMatchObject({ exit: 'hlt', vector: V.DE, rip: p.at('here') });
      expect(b.reg('rax')).toBe(11n);
    },
  );

  test('go from real through protected, compatibility and 64-bit mode back to real mode', () => {
    const b = withGdt(machine('real', { paging: '4-level' }));
    const out = b.go(`
        cli
        lgdt [0x500]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword K32:protected+CODE
        bits 32
      protected:
        mov ax, KDATA
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, STACK
        mov dword [DATA], 1
        mov eax, cr4
        or eax, 0x20
        mov cr4, eax
        mov eax, ${ROOT}
        mov cr3, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        mov dword [DATA+4], 2
        rdmsr
        mov [DATA+24], eax
        jmp K64:long+CODE
        bits 64
      long:
        mov rax, 0x123456789abcdef0
        mov [DATA+8], rax
        push K32
        push compat+CODE
        retfq
        bits 32
      compat:
        mov dword [DATA+16], 3
        mov eax, cr0
        and eax, 0x7fffffff
        mov cr0, eax
        mov ecx, 0xc0000080
        rdmsr
        mov [DATA+28], eax
        and eax, 0xfffffeff
        wrmsr
        mov eax, cr4
        and eax, 0xffffffdf
        mov cr4, eax
        mov dword [DATA+20], 4
        jmp FREE:sixteen
        bits 16
      sixteen:
        mov ax, KDATA16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov eax, cr0
        and al, 0xfe
        mov cr0, eax
        jmp 0x1000:real
      real:
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7000
        mov word [0x600], 5
        push ax
        hlt`);
    expect(out).toMatchObject({ exit: 'hlt', vector: -1, cs: 0x1000, sp: 0x6ffe });
    expect([0, 4, 16, 20].map((at) => b.u32(DATA + at))).toEqual([1, 2, 3, 4]);
    expect(b.u64(DATA + 8)).toBe(0x123456789abcdef0n);
    expect(b.u32(DATA + 24), 'EFER with paging on').toBe(0x500);
    expect(b.u32(DATA + 28), 'EFER once paging is off').toBe(0x100);
    expect(b.u16(0x600)).toBe(5);
    expect(b.state.cs.base).toBe(0x10000n);
    expect(b.state.cr0 & (CR0.PE | CR0.PG)).toBe(0n);
  });

  test('real mode keeps the wide limit that protected mode has loaded (unreal mode)', () => {
    const b = withGdt(machine('real'));
    const p = b.load(`
        lgdt [0x500]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        mov bx, KDATA
        mov ds, bx
        and al, 0xfe
        mov cr0, eax
        mov bx, 0x10
        mov ds, bx
        mov ebx, ${SPARE}
        mov dword [ebx], 0x12345678
      here: mov al, [es:ebx]
        hlt`);
    expect(b.run()).toMatchObject({ vector: V.GP, rip: p.at('here') });
    expect(b.u32(SPARE + 0x100)).toBe(0x12345678);
    expect(b.state.ds).toMatchObject({ selector: 0x10, base: 0x100n, limit: 0xffff_ffff });
  });

  test('a word at offset FFFFh in real mode is #GP, on the stack #SS', () => {
    const b = machine('real');
    const p = b.load('mov bx, 0xffff\n here: mov ax, [bx]\n hlt');
    expect(b.run()).toMatchObject({ vector: V.GP, rip: p.at('here') });
    const c = machine('real');
    const q = c.load('mov bp, 0xffff\n here: mov ax, [bp]\n hlt');
    expect(c.run()).toMatchObject({ vector: V.SS, rip: q.at('here') });
  });

  test('the real-mode stack wraps from 0 to FFFEh', () => {
    const b = machine('real');
    expect(b.go('xor sp, sp\n mov ax, 0x1234\n push ax\n hlt')).toMatchObject({ vector: -1, sp: 0xfffe });
    expect(b.u16(0xfffe)).toBe(0x1234);
  });

  test('a real-mode interrupt pushes FLAGS, CS and IP, clears IF and TF, and IRET brings all back', () => {
    const b = machine('real');
    b.put32(0x60 * 4, CODE << 12);
    const p = b.load(`
        jmp start
        align 16
      handler: pushf
        pop dx
        iret
      start: mov ax, 0xfad7
        push ax
        popf
        int 0x60
      after: pushf
        pop cx
        hlt`);
    b.put32(0x60 * 4, ((CODE >> 4) << 16) | p.at('handler'));
    expect(b.run()).toMatchObject({ vector: -1 });
    expect(b.u16(STACK - 6)).toBe(p.at('after'));
    expect(b.u16(STACK - 4)).toBe(CODE >> 4);
    expect(Number(b.reg('rdx')) & (F.IF | F.TF)).toBe(0);
    expect(Number(b.reg('rcx'))).toBe(0x7ad7);
  });

  test('a vector beyond the real-mode IDT limit is #GP', () => {
    const b = machine('real');
    b.state.idtr = { base: 0n, limit: 0x7f };
    const p = b.load('nop\n here: int 0x20\n hlt');
    expect(b.run()).toMatchObject({ vector: V.GP, rip: p.at('here') });
  });

  test('LMSW enters protected mode and cannot leave it', () => {
    const b = machine('protected');
    expect(b.go('mov ax, 0xe\n lmsw ax\n smsw ecx\n hlt')).toMatchObject({ vector: -1 });
    expect(b.state.cr0 & 0xfn).toBe(0xfn);
    expect(b.reg('rcx') & 0xffffn).toBe(b.state.cr0 & 0xffffn);
  });

  test('40h to 4Fh are INC and DEC in compatibility mode and REX prefixes in 64-bit mode', () => {
    const code = 'mov eax, 0x10\n db 0x48\n mov ecx, eax\n hlt';
    const compat = machine('compat');
    compat.set({ rax: 0, rcx: 0 }).go(code);
    expect([compat.reg('rax'), compat.reg('rcx')]).toEqual([0xfn, 0xfn]);
    const long = machine('long');
    long.set({ rcx: -1 }).go('mov rax, 0x1234567890\n db 0x48\n mov ecx, eax\n hlt');
    expect(long.reg('rcx')).toBe(0x1234567890n);
  });

  test('compatibility mode truncates addresses to 32 bits, 64-bit mode does not', () => {
    const b = machine('compat');
    expect(b.go('mov ebx, 0xffffffff\n mov eax, [ebx+DATA+1]\n hlt')).toMatchObject({ vector: -1 });
    const c = machine('long');
    expect(c.go('mov ebx, 0xffffffff\n mov eax, [rbx+DATA+1]\n hlt')).toMatchObject({
      vector: V.PF,
      error: 0,
      cr2: 0x1_0002_0000,
    });
    const d = machine('long');
    d.put32(DATA, 77);
    expect(d.go('mov ebx, 0xffffffff\n mov eax, [ebx+DATA+1]\n hlt'), '67h in 64-bit mode').toMatchObject({
      vector: -1,
    });
    expect(d.reg('rax')).toBe(77n);
  });
});

describe('rules of control registers on the way', () => {
  const gp = { vector: V.GP, error: 0 };
  test.each([
    ['PG without PE', 'real', 'mov eax, 0x80000010\n mov cr0, eax'],
    ['NW without CD', 'protected', 'mov eax, cr0\n or eax, 0x20000000\n and eax, 0xbfffffff\n mov cr0, eax'],
    ['PE cleared under PG', 'long', 'mov rax, cr0\n and al, 0xfe\n mov cr0, rax'],
    ['PG cleared in 64-bit mode', 'long', 'mov rax, cr0\n btr rax, 31\n mov cr0, rax'],
    ['bits 63:32 of CR0', 'long', 'mov rax, cr0\n bts rax, 32\n mov cr0, rax'],
    ['PAE cleared in long mode', 'compat', 'mov eax, cr4\n and eax, 0xffffffdf\n mov cr4, eax'],
    ['a reserved bit of CR4', 'long', 'mov rax, cr4\n bts rax, 24\n mov cr4, rax'],
    ['bit 63 of CR4', 'long', 'mov rax, cr4\n bts rax, 63\n mov cr4, rax'],
    ['VMXE, which CPUID does not have', 'protected', 'mov eax, 0x2000\n mov cr4, eax'],
    ['PCIDE outside long mode', 'protected', 'mov eax, 0x20000\n mov cr4, eax'],
    ['LME changed under PG', 'long', 'mov ecx, 0xc0000080\n rdmsr\n and eax, 0xfffffeff\n wrmsr'],
    ['a reserved bit of EFER', 'protected', 'mov ecx, 0xc0000080\n mov eax, 0x200\n xor edx, edx\n wrmsr'],
    ['the upper half of EFER', 'protected', 'mov ecx, 0xc0000080\n xor eax, eax\n mov edx, 1\n wrmsr'],
    ['CR3 bits above the physical address width', 'long', 'mov rax, cr3\n bts rax, 51\n mov cr3, rax'],
  ] as const)('#GP(0) for %s', (_name, mode, source) => {
    const b = machine(mode);
    const out = b.go(`${source}\n hlt`);
    expect(out).toMatchObject(mode === 'real' ? { vector: V.GP } : gp);
  });

  test('#GP(0) for PG with LME but without PAE', () => {
    const b = machine('protected');
    b.state.efer = EFER.LME;
    expect(b.go('mov eax, cr0\n bts eax, 31\n mov cr0, eax\n hlt')).toMatchObject(gp);
    expect(b.state.cr0 & CR0.PG).toBe(0n);
  });

  test('MOV CRn is #GP(0) in ring 3 and #UD for registers that do not exist', () => {
    const b = machine('protected', { ring: 3 });
    expect(b.go('mov eax, cr0\n hlt')).toMatchObject(gp);
    const c = machine('protected');
    expect(c.go('db 0x0f, 0x20, 0xc8\n hlt')).toMatchObject({ vector: V.UD });
    const d = machine('long');
    expect(d.go('db 0x0f, 0x22, 0xe8\n hlt')).toMatchObject({ vector: V.UD });
  });

  test('ET stays set, and CR0 reads back what was written', () => {
    const b = machine('protected');
    expect(
      b.go('mov eax, cr0\n and eax, 0xffffffcf\n or eax, 0x0005000a\n mov cr0, eax\n mov ecx, cr0\n hlt').vector,
    ).toBe(-1);
    expect(b.reg('rcx')).toBe(CR0.PE | CR0.MP | CR0.TS | CR0.ET | CR0.WP | CR0.AM);
  });

  test('CR4 takes every bit that CPUID offers', () => {
    const b = machine('long');
    const all =
      CR4.PAE |
      CR4.PGE |
      CR4.PSE |
      CR4.DE |
      CR4.TSD |
      CR4.PCE |
      CR4.MCE |
      CR4.OSFXSR |
      CR4.OSXMMEXCPT |
      CR4.UMIP |
      CR4.FSGSBASE |
      CR4.SMEP |
      CR4.SMAP;
    b.set({ rax: all });
    expect(b.go('mov cr4, rax\n mov rcx, cr4\n hlt').vector).toBe(-1);
    expect(b.reg('rcx')).toBe(all);
  });
});

describe('v8086 mode', () => {
  /** A v8086 task: program, IOPL. */
  function vm(source: string, iopl: number) {
    const b = machine('v8086');
    b.state.rflags |= BigInt(iopl << 12);
    const p = b.load(source);
    return { b, p, out: b.run() };
  }

  test('an interrupt to ring 0 pushes the segment registers and clears them', () => {
    const b = machine('v8086');
    b.state.rflags |= 0x3000n;
    for (const [i, s] of (['ds', 'es', 'fs', 'gs'] as const).entries())
      b.state[s] = { ...b.state[s], selector: 0x111 * (i + 1), base: BigInt(0x1110 * (i + 1)) };
    const p = b.load('int 0x40\n after: hlt');
    expect(b.run()).toMatchObject({
      vector: 0x40,
      rip: p.at('after'),
      cs: CODE >> 4,
      sp: STACK,
      ss: 0,
      flags: 0x23002,
    });
    expect(b.reg('rsp')).toBe(BigInt(RING0_STACK - 36));
    expect([5, 6, 7, 8].map((i) => b.u32(RING0_STACK - 36 + i * 4))).toEqual([0x222, 0x111, 0x333, 0x444]);
    expect([b.state.ds.selector, b.state.es.selector, b.state.fs.selector, b.state.gs.selector]).toEqual([0, 0, 0, 0]);
    expect(b.state.cs.selector).toBe(K32);
    expect(b.state.ss.selector).toBe(KDATA);
    expect(b.state.rflags & BigInt(F.VM)).toBe(0n);
  });

  test.each([
    ['CLI', 'cli'],
    ['STI', 'sti'],
    ['PUSHF', 'pushf'],
    ['POPF', 'popf'],
    ['INT n', 'int 0x40'],
    ['IRET', 'iret'],
  ])('%s is #GP(0) with IOPL below 3', (_name, instruction) => {
    const { out, p } = vm(`here: ${instruction}\n hlt`, 2);
    expect(out).toMatchObject({ vector: V.GP, error: 0, rip: p.at('here') });
  });

  test.each([
    ['HLT', 'hlt'],
    ['MOV from CR0', 'mov eax, cr0'],
    ['LGDT', 'lgdt [0]'],
    ['a port without permission', 'in al, 0x60'],
    ['CLTS', 'clts'],
  ])('%s is #GP(0) whatever IOPL', (_name, instruction) => {
    const { out, p } = vm(`here: ${instruction}\n hlt`, 3);
    expect(out).toMatchObject({ vector: V.GP, error: 0, rip: p.at('here') });
  });

  test.each([
    'lldt ax',
    'ltr ax',
    'sldt ax',
    'str ax',
    'lar ax, bx',
    'lsl ax, bx',
    'verr ax',
    'verw ax',
    'arpl ax, bx',
  ])('%s is #UD, as in real mode', (instruction) => {
    expect(vm(`${instruction}\n hlt`, 3).out).toMatchObject({ vector: V.UD });
    expect(machine('real').go(`${instruction}\n hlt`)).toMatchObject({ vector: V.UD });
  });

  test('INT3 and INTO need no IOPL, but a gate that ring 3 may use', () => {
    expect(vm('int3\n after: hlt', 0).out).toMatchObject({ vector: V.BP, rip: 1 });
    expect(vm('mov al, 0x7f\n inc al\n into\n hlt', 0).out).toMatchObject({ vector: V.OF });
  });

  test('POPF with IOPL 3 changes IF but not IOPL or VM', () => {
    const { b, out } = vm('push word 0x0202\n popf\n pushf\n pop ax\n push word 0\n popf\n int 0x40', 3);
    expect(out).toMatchObject({ vector: 0x40, flags: 0x23002 });
    expect(b.reg('rax') & 0xffffn).toBe(0x3202n);
  });

  test('segments are 16 times the selector with 64 KiB, and IRETD from ring 0 enters the mode', () => {
    const b = machine('protected');
    b.put16(0x30000, 0xabcd);
    b.write(0x18000, [0xa1, 0x00, 0x00, 0xcd, 0x40]); // mov ax, [0]; int 40h
    const out = b.go(`
        push 0x4444
        push 0x5555
        push 0x3000
        push 0x2000
        push 0x1234
        push 0xfffe
        push 0x00023002
        push 0x1800
        push 0
        iretd`);
    expect(out).toMatchObject({ vector: 0x40, rip: 5, cs: 0x1800, ss: 0x1234, sp: 0xfffe, flags: 0x23002 });
    expect(b.reg('rax') & 0xffffn).toBe(0xabcdn);
    expect([5, 6, 7, 8].map((i) => b.u32(RING0_STACK - 36 + i * 4))).toEqual([0x2000, 0x3000, 0x5555, 0x4444]);
  });

  test('IRETD in ring 3 does not enter the mode', () => {
    const b = machine('protected', { ring: 3 });
    const out = b.go('push 0x00020002\n push U32\n push after\n iretd\n after: int 0x40');
    expect(out).toMatchObject({ vector: 0x40, cs: 0x2b, flags: 2 });
  });

  test('an interrupt to a ring other than 0 is #GP with the selector', () => {
    const b = machine('v8086');
    b.state.rflags |= 0x3000n;
    b.setDescriptor(FREE, 0, 0xffff_ffff, 0xc09b | (1 << 5));
    b.setGate(0x41, 0x4410, { selector: FREE | 1, dpl: 3 });
    expect(b.go('int 0x41')).toMatchObject({ vector: V.GP, error: FREE });
  });

  test('in long mode IRETQ ignores the VM bit', () => {
    const b = machine('long');
    const out = b.go(
      `mov rcx, rsp\n push KDATA\n push rcx\n push 0x20002\n push ${K64}\n push after\n iretq\n after: hlt`,
    );
    expect(out).toMatchObject({ vector: -1, flags: 2 });
  });
});
