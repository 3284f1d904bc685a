/**
 * What this host's KVM can't do of what these suites ask for. Each gap has a name, a program that finds out whether the host
 * has it, and what needs what is missing: a test that does is skipped, and says why. Gaps that are not in this list are
 * nobody's excuse: a test that fails and needs none of these has found something. The list is of kvm_pvm, which emulates
 * supervisor code and runs user code in a way of its own; a processor's own KVM has hardly any of them.
 */
import type { VcpuState } from '../../src/engine/contract.js';
import type { Bench, Mode, Options, Paging } from './bench.js';
import {
  A,
  ATTR,
  CODE,
  CR4,
  DATA,
  F,
  FREE,
  G,
  GDT,
  gate,
  K32,
  KDATA,
  P,
  PD,
  PDPT,
  PS,
  ROOT,
  SPARE,
  STACK,
  STUBS,
  TSS2,
  U,
  V,
  W,
  WINDOW,
} from './layout.js';

/** What a test is about to do. */
export interface Use {
  /** Its full name. */
  readonly test: string;
  readonly mode: Mode;
  readonly paging: Paging;
  /** The programs that it has assembled so far, and those of them that are for ring 3. */
  readonly source: string;
  readonly userSource: string;
  readonly state: VcpuState;
}

type Machine = (mode: Mode, options?: Omit<Options, 'mode'>) => Bench;

export interface Gap {
  /** Ends "this KVM ...". */
  readonly name: string;
  /** @returns whether all is well */
  readonly works: (machine: Machine) => boolean;
  readonly needed: (use: Use) => boolean;
}

const named =
  (...names: RegExp[]) =>
  ({ test }: Use) =>
    names.some((name) => name.test(test));
/** Mnemonics with a V that are no vectors': VERR, VERW, VMCALL, VMLOAD, VMXOFF. */
const AVX = /^\s*(\w+:)?\s*v(?!err|erw|mcall|mload|mxoff)[a-z0-9]{3,}/m;
/** R/W fields of DR7 that ask for data or ports: bit 0 of each is set (SDM vol. 3, 18.2.4). */
const WATCHES = 0x1111_0000n;

export const GAPS: readonly Gap[] = [
  {
    name: 'makes INT n of ring 3 an invalid opcode',
    works: (machine) => machine('protected', { ring: 3 }).go('int 0x40').vector === 0x40,
    needed: ({ userSource }) => /\bint\s+[0-9]/.test(userSource),
  },
  {
    name: 'has no paging but that of long mode',
    works: (machine) =>
      ['32', 'pae'].every((paging) => {
        const b = machine('protected', { paging: paging as Paging });
        b.map(WINDOW, 0, 0);
        return b.go('mov eax, [WINDOW]').vector === V.PF;
      }),
    needed: ({ paging }) => paging === '32' || paging === 'pae',
  },
  {
    name: 'knows no AVX in the kernel',
    works: (machine) => {
      const b = machine('long');
      b.state.cr4 |= CR4.OSFXSR | CR4.OSXSAVE;
      b.state.xcr0 = 7n;
      return b.go('vpaddb ymm0, ymm1, ymm2\n hlt').vector === -1;
    },
    needed: (use) => named(/C4 and C5 in protected|VEX\.W and the fourth bit/)(use) || AVX.test(use.source),
  },
  {
    name: 'does not enter the kernel by SYSCALL and SYSENTER, or leave it by their returns',
    works: (machine) => {
      const b = machine('long', { ring: 3 });
      b.state.efer |= 1n;
      b.state.msrs.set(0xc000_0081, 0x28_0008_0000_0000n);
      b.state.msrs.set(0xc000_0082, BigInt(CODE));
      b.write(CODE, [0xf4]);
      return b.go('syscall').rip === CODE + 1;
    },
    needed: ({ source }) => /\bsys(call|ret|enter|exit)/.test(source),
  },
  {
    name: 'sees no breakpoints on data and ports',
    works: (machine) => {
      const b = machine('protected');
      b.state.dr[0] = BigInt(DATA);
      b.state.dr[5] |= 0x1_0001n;
      return b.go('mov byte [DATA], 1\n nop\n hlt').vector === V.DB;
    },
    needed: (use) => (use.state.dr[5] & WATCHES) !== 0n || named(/^I\/O breakpoints/)(use),
  },
  {
    name: 'lets the guest see features in CPUID that it was not given',
    works: (machine) => {
      const b = machine('long');
      b.set({ rax: 0xd, rcx: 0 });
      b.go('cpuid\n hlt');
      // The components of XCR0 that we know.
      return (b.reg('rax') & ~7n) === 0n;
    },
    needed: named(
      /^CPUID (leaves have|SPEC_CTRL|MOVBE|INVPCID|RTM|GFNI|MOVDIRI|RDTSCP)/,
      /^XCR0 /,
      /^XSAVE with YMM/,
      /TSC_AUX/,
      /^a processor without long mode/,
      /an address bit above 40|PCID/,
    ),
  },
  {
    name: 'takes VMCALL for a call of the hypervisor',
    works: (machine) => machine('long').go('vmcall\n hlt').vector === V.UD,
    needed: named(/VMCALL is #UD/),
  },
  {
    name: 'has no jump cache whose generations could come back',
    works: (machine) => machine('real').engine.name === 'soft',
    needed: named(/millions of CR3 writes later/),
  },
  {
    name: 'has a TSC of its own',
    works: (machine) => {
      const b = machine('long');
      b.outside.tsc = 1n << 50n;
      b.go('rdtsc\n hlt');
      return b.reg('rdx') === 1n << 18n;
    },
    needed: named(/WRMSR of IA32_TSC/),
  },
  {
    name: 'does not trap after HLT, or between the rounds of REP',
    works: (machine) => {
      const b = machine('protected');
      b.state.rflags |= BigInt(F.TF);
      b.set({ rcx: 3, rdi: DATA });
      const rep = b.go('rep stosb\n hlt');
      const c = machine('protected');
      c.state.rflags |= BigInt(F.TF);
      return rep.rip === CODE && c.go('hlt\n nop').vector === V.DB;
    },
    needed: named(/^single step in .* (MOV SS|REP string|a hardware interrupt|HLT under TF)/),
  },
  {
    name: 'has bit 16 of DR6 for transactions',
    works: (machine) => {
      const b = machine('long');
      b.go('xor eax, eax\n mov dr6, rax\n mov rax, dr6\n hlt');
      return b.reg('rax') === 0xffff_0ff0n;
    },
    needed: named(/reserved bits of DR6/),
  },
  {
    name: 'makes a double fault of what is none',
    works: (machine) => {
      const b = machine('long');
      b.setGate(V.UD, 0, { present: false });
      return b.go('ud2').vector === V.NP;
    },
    needed: named(
      /the same with an exception sets EXT/,
      /contributory after benign/,
      /its gate is absent|whose gate is absent/,
    ),
  },
  {
    name: 'delivers nothing where pushing the frame faults',
    works: (machine) => {
      const b = machine('long');
      b.setGate(V.PF, STUBS + V.PF * 16, { ist: 1 });
      b.map(WINDOW, 0, 0);
      b.set({ rsp: WINDOW + 0x1000 });
      return b.go('ud2').vector === V.PF;
    },
    needed: named(/^faults of the delivery itself (a page fault while|nothing of the frame)/),
  },
  {
    name: 'does not look at the limit of the real-mode IDT',
    works: (machine) => {
      const b = machine('real');
      b.state.idtr = { base: 0n, limit: 0x7f };
      return b.go('int 0x20').vector === V.GP;
    },
    needed: named(/in real mode, an IDT too short/, /a vector beyond the real-mode IDT limit/),
  },
  {
    name: 'knows no call gates, and few rules of far transfers',
    works: (machine) => {
      const b = machine('protected', { ring: 3 });
      b.put64(GDT + FREE, gate(K32, CODE, { type: 12, dpl: 3, present: false }));
      return b.go('call FREE:0').vector === V.NP;
    },
    needed: named(
      /^call gates in protected mode (a gate with (DPL below CPL|an absent|null|data)|a jump through|an inner stack|a TSS too short)/,
      /16-bit far calls push/,
      /^returns to outer rings (RETF and IRETD with an inner|IRETQ)/,
      /iretd from beyond the stack limit/,
    ),
  },
  {
    name: 'delivers interrupts later than at the first boundary',
    works: (machine) => {
      const b = machine('long');
      b.outside.acknowledge = () => {
        b.cpu.setInterruptRequest(false);
        return 0x50;
      };
      b.cpu.setInterruptRequest(true);
      const p = b.load('nop\n sti\n nop\n here: nop\n nop\n hlt');
      const { vector, rip } = b.run();
      return vector === 0x50 && rip === p.at('here');
    },
    needed: named(
      /^interrupts in .* mode (wait while|STI while|mov ss|pop ss|an interrupt|POPF and IRET|the gate clears|a request that|NMI ignores)/,
      /an interrupt that the new priority lets through/,
      /^interrupts and privilege (a page fault while|REP string)/,
    ),
  },
  {
    name: 'does not look at the upper bits of control registers',
    works: (machine) => {
      const b = machine('long');
      return b.go('mov rax, cr0\n bts rax, 40\n mov cr0, rax\n hlt').vector === V.GP;
    },
    needed: named(/#GP\(0\) for (bits 63:32 of CR0|bit 63 of CR4)/),
  },
  {
    name: 'has rules of its own in v8086 mode',
    works: (machine) => machine('v8086').go('sldt ax\n hlt').vector === V.UD,
    needed: named(/^v8086 mode (PUSHF|POPF|IRET is|a port without|lldt|ltr|sldt|str|INT3 and|segments are)/),
  },
  {
    name: 'does not look at what is written to MSRs of addresses',
    works: (machine) => {
      const b = machine('long');
      b.set({ rcx: 0x175, rax: 0, rdx: 0x8000 });
      return b.go('wrmsr\n hlt').vector === V.GP;
    },
    needed: named(/takes canonical addresses only/, /a write of PAT with a reserved type/),
  },
  {
    name: 'writes the first half of what crosses into an absent page',
    works: (machine) => {
      const b = machine('long');
      b.map(WINDOW, SPARE, P | W);
      b.map(WINDOW + 0x1000, 0, 0);
      b.set({ rax: -1n });
      return b.go('mov [WINDOW+0xffe], eax').vector === V.PF && b.u16(SPARE + 0xffe) === 0;
    },
    needed: named(/^an access that crosses into an absent page (mov \[|movups \[|pop qword|stosq|sgdt)/),
  },
  {
    name: 'reads ports before the page is there that takes what they give',
    works: (machine) => {
      const b = machine('long');
      b.map(WINDOW, SPARE, P | W);
      b.map(WINDOW + 0x1000, 0, 0);
      let reads = 0;
      b.outside.readPort = () => ++reads;
      b.set({ rcx: 5, rdx: 0x60, rdi: WINDOW + 0xffe });
      b.go('rep insb\n hlt');
      return reads === 2;
    },
    needed: named(/REP INSB does not read the port/),
  },
  {
    name: 'drops global translations with the others',
    works: (machine) => {
      const b = machine('long');
      b.state.cr4 |= CR4.PGE;
      b.map(WINDOW, SPARE, P | W | G);
      b.put32(SPARE, 1);
      b.put32(SPARE + 0x1000, 2);
      const entry = `mov dword [${b.entry(WINDOW)}], ${(SPARE + 0x1000) | P | W | G}`;
      b.go(`mov esi, [WINDOW]\n ${entry}\n mov rax, cr3\n mov cr3, rax\n mov edi, [WINDOW]\n hlt`);
      return b.reg('rdi') === 1n;
    },
    needed: named(/global pages survive/),
  },
  {
    name: 'has no SMEP and SMAP',
    works: (machine) => {
      const b = machine('long');
      b.state.cr4 |= CR4.SMAP;
      b.state.rflags |= 0x40000n;
      b.map(WINDOW, GDT, P | W | U);
      b.state.gdtr = { base: BigInt(WINDOW), limit: 0x3ff };
      return b.go('mov ax, KDATA\n mov es, ax\n hlt').exit === 'shutdown';
    },
    needed: named(/SMEP keeps|SMAP holds/),
  },
  {
    name: 'has no pages of 1 GiB',
    works: (machine) => {
      const b = machine('long');
      b.put64(PDPT + 8, P | W | PS);
      return b.go('mov eax, [0x40000000]\n hlt').vector === -1;
    },
    needed: named(/1 GiB pages translate/),
  },
  {
    name: 'lets accesses run beyond the canonical addresses',
    works: (machine) => {
      const b = machine('long');
      b.put64(ROOT + 255 * 8, PDPT | P | W);
      b.put64(PDPT + 511 * 8, PD | P | W);
      b.put64(PD + 511 * 8, P | W | PS);
      b.set({ rbx: 0x7fff_ffff_fffcn });
      return b.go('mov rax, [rbx]\n hlt').vector === V.GP;
    },
    needed: named(/the whole canonical space/, /straddles the end of the lower half/, /LTR and LLDT take 16-byte/),
  },
  {
    name: 'sets accessed bits when a debugger asks for a translation',
    works: (machine) => {
      const b = machine('long');
      b.map(WINDOW, SPARE, P | W);
      b.go('hlt');
      b.cpu.translate(BigInt(WINDOW));
      return (b.pte(WINDOW) & BigInt(A)) === 0n;
    },
    needed: named(/translate tells the debugger/),
  },
  {
    name: 'takes accesses beyond a limit that wrap',
    works: (machine) => {
      const b = machine('protected');
      b.setDescriptor(FREE, SPARE, 0xfff, 0x4097);
      return b.go('mov ax, FREE\n mov ds, ax\n mov eax, [0xfffffffd]\n hlt').vector === V.GP;
    },
    needed: named(/^limits expand-down/, /stack accesses beyond the limit/),
  },
  {
    name: 'executes in ring 3 and legacy modes what CR4 and they forbid',
    works: (machine) => {
      const b = machine('long', { ring: 3 });
      b.state.cr4 |= CR4.TSD;
      const tsd = b.go('rdtsc').vector;
      return tsd === V.GP && machine('long', { ring: 3 }).go('rdfsbase rax').vector === V.UD;
    },
    needed: named(/^SWAPGS and the bases/, /TSD keeps RDTSC/),
  },
  {
    name: 'switches no tasks by exceptions, and knows no T bit',
    works: (machine) => {
      const b = machine('protected');
      b.setDescriptor(FREE, TSS2, 0x67, ATTR.tss32);
      // EIP, EFLAGS, ESP, the segments from ES on, and the T bit (SDM vol. 3, 8.2.1).
      const values = [
        [0x20, SPARE],
        [0x24, 2],
        [0x38, STACK],
        [0x48, KDATA],
        [0x4c, K32],
        [0x50, KDATA],
        [0x54, KDATA],
        [0x64, 1],
      ];
      for (const [at, value] of values) b.put32(TSS2 + at, value);
      b.write(SPARE, [0xf4]);
      return b.go('jmp FREE:0').vector === V.DB;
    },
    needed: named(/^task switches (an exception through|a double fault through|the T bit)/),
  },
];
