/**
 * System instructions: everything that looks at privilege, segments or control state. The work is done in core (AssemblyScript); here
 * are the encodings and what core needs to know beside the record.
 */
import { type Emitter, VECTOR } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';
import * as L from '../layout.js';
import * as w from '../wasm/ops.js';
import { type Attributes, type Encoding, InstructionList } from './define.js';
import { RFLAGS } from './rflags.js';

export const system = new InstructionList();

/** Defines an instruction that core does as `op_<name>(rec, ...args)`. */
function op(name: string, encodings: readonly Encoding[], attributes: Attributes, handler: string, ...args: number[]) {
  system.op(name, encodings, attributes, (e) => e.core(handler, ...args));
}

/** The same, with the operand size as the first argument. */
function sized(
  name: string,
  encodings: readonly Encoding[],
  attributes: Attributes,
  handler: string,
  ...args: number[]
) {
  system.op(name, encodings, attributes, (e: Emitter) => e.core(handler, e.variant.operandSize, ...args));
}

const ENDS: Attributes = { ends: true };
const WRITES: Attributes = { writes: true };

/** An instruction with a 16-bit r/m operand: core is told (in the last argument) whether that is memory. */
function eitherW(name: string, pattern: string, attributes: Attributes, handler: string, ...args: number[]) {
  op(name, [[`${pattern} mod3`, 'Rw']], attributes, handler, ...args, 0);
  op(name, [[`${pattern} mem`, 'Mw']], attributes, handler, ...args, 1);
}

// ---- interrupts and flags --------------------------------------------------------------------------------------------
op('int3', [['CC', '']], ENDS, 'op_int3');
op('int', [['CD', 'Ib']], ENDS, 'op_int');
op('into', [['CE i64', '']], ENDS, 'op_into');
op('int1', [['F1', '']], ENDS, 'op_int1');
sized('iret', [['CF', '']], ENDS, 'op_iret');
// What comes with each system call and each spinlock is said here: ring 0, no interrupt that waits, no trap flag.
system.op('cli', [['FA', '']], {}, (e) => {
  const usual = () => e.setState(L.EFLAGS, w.and(e.eflags(), w.i32c(~RFLAGS.IF)));
  e.unlessRare(e.state(L.CPL, 'i32'), usual, 'op_cli');
});
system.op('sti', [['FB', '']], ENDS, (e) => {
  const usual = () => {
    const flags = e.let(e.eflags());
    e.if(w.eqz(w.and(flags, w.i32c(RFLAGS.IF))), () => {
      e.setState(L.INT_SHADOW, w.i32c(1));
      e.setState(L.SHADOW_RIP, e.nextRip());
    });
    e.setState(L.EFLAGS, w.or(flags, w.i32c(RFLAGS.IF)));
    e.fallThrough();
  };
  e.unlessRare(w.or(e.state(L.CPL, 'i32'), e.state(L.PENDING, 'i32')), usual, 'op_sti');
});
system.op('pushf', [['9C d64', '']], { stack: true }, (e) => {
  const size = e.variant.operandSize;
  const usual = () => {
    const flags = w.and(e.rflags(), w.i32c(~(RFLAGS.VM | RFLAGS.RF)));
    e.push(size === 8 ? w.extendU(flags) : flags, size);
  };
  e.unlessRare(w.and(e.eflags(), w.i32c(RFLAGS.VM)), usual, 'op_pushf', size);
});
system.op('popf', [['9D d64', '']], { stack: true, ends: true }, (e) => {
  const size = e.variant.operandSize;
  if (size === 2) {
    e.core('op_popf', size);
    return;
  }
  const flags = e.let(w.wrap(e.top(size)));
  const old = e.let(e.eflags());
  const simple = RFLAGS.IF | RFLAGS.DF | RFLAGS.ID;
  const intricate = RFLAGS.TF | RFLAGS.AC | RFLAGS.NT | RFLAGS.IOPL;
  const changed = w.or(w.and(w.xor(flags, old), w.i32c(intricate)), w.and(old, w.i32c(RFLAGS.RF)));
  const usual = () => {
    e.drop(w.i32c(size));
    e.setState(L.EFLAGS, w.or(w.and(old, w.i32c(~simple)), w.and(flags, w.i32c(simple))));
    e.setArithmetic(flags);
    e.fallThrough();
  };
  const rare = w.or(w.or(e.state(L.CPL, 'i32'), e.state(L.PENDING, 'i32')), changed);
  e.unlessRare(rare, usual, 'op_popf', size);
});
op('clac', [['NP 0F 01 CA', '']], ENDS, 'op_clac');
op('stac', [['NP 0F 01 CB', '']], ENDS, 'op_stac');
op('hlt', [['F4', '']], ENDS, 'op_hlt');

// ---- far transfers ---------------------------------------------------------------------------------------------------
sized('jmp_far', [['EA i64', 'Ap']], ENDS, 'op_jmpFar');
sized('call_far', [['9A i64', 'Ap']], ENDS, 'op_callFar');
sized('jmp_far', [['FF /5 mem', 'Mp']], ENDS, 'op_jmpFarMem');
sized('call_far', [['FF /3 mem', 'Mp']], ENDS, 'op_callFarMem');
sized('ret_far', [['CB', '']], ENDS, 'op_retFar');
sized(
  'ret_far',
  [
    ['CA o16', 'Iw'],
    ['CA o32', 'Iw'],
    ['CA o64', 'Iw'],
  ],
  ENDS,
  'op_retFarImm',
);
op('syscall', [['0F 05', '']], ENDS, 'op_syscall');
sized('sysret', [['0F 07', '']], ENDS, 'op_sysret');
op('sysenter', [['0F 34', '']], ENDS, 'op_sysenter');
sized('sysexit', [['0F 35', '']], ENDS, 'op_sysexit');

// ---- segment registers -----------------------------------------------------------------------------------------------
op('mov_to_sreg', [['8E /r mod3', 'Sw,Rw']], ENDS, 'op_movToSreg');
op('mov_to_sreg', [['8E /r mem', 'Sw,Mw']], ENDS, 'op_movToSregMem');
sized('mov_from_sreg', [['8C /r mod3', 'Rv,Sw']], {}, 'op_movFromSreg');
op('mov_from_sreg', [['8C /r mem', 'Mw,Sw']], WRITES, 'op_movFromSregMem');
for (const [pattern, segment] of [
  ['07 i64', L.ES],
  ['17 i64', L.SS],
  ['1F i64', L.DS],
  ['0F A1 d64', L.FS],
  ['0F A9 d64', L.GS],
] as const)
  sized('pop_sreg', [[pattern, '']], { ends: true, param: segment }, 'op_popSreg', segment);
for (const [pattern, segment] of [
  ['C4 /r mem i64', L.ES],
  ['C5 /r mem i64', L.DS],
  ['0F B2 /r mem', L.SS],
  ['0F B4 /r mem', L.FS],
  ['0F B5 /r mem', L.GS],
] as const)
  sized('load_far', [[pattern, 'Gv,Mp']], { ends: true, param: segment }, 'op_loadFarPointer', segment);
system.op('swapgs', [['0F 01 F8 only64', '']], {}, (e) => {
  e.raiseIf(e.state(L.CPL, 'i32'), VECTOR.GP, w.i32c(0));
  const at = L.SEGS + L.GS * L.SEG_SIZE + L.SEG_BASE;
  const base = e.let(e.state(at, 'i64'));
  e.setState(at, e.let(e.state(L.MSR_KERNEL_GS_BASE, 'i64')));
  e.setState(L.MSR_KERNEL_GS_BASE, base);
});
for (const [digit, name, handler, segment] of [
  [0, 'rdfsbase', 'op_rdsegbase', L.FS],
  [1, 'rdgsbase', 'op_rdsegbase', L.GS],
  [2, 'wrfsbase', 'op_wrsegbase', L.FS],
  [3, 'wrgsbase', 'op_wrsegbase', L.GS],
] as const) {
  op(name, [[`F3 0F AE /${digit} mod3 only64 W0`, 'Rd']], {}, handler, 4, segment);
  op(name, [[`F3 0F AE /${digit} mod3 only64 W1`, 'Rq']], {}, handler, 8, segment);
}

// ---- descriptor tables -----------------------------------------------------------------------------------------------
op('sgdt', [['0F 01 /0 mem', 'Ms']], WRITES, 'op_sgdt');
op('sidt', [['0F 01 /1 mem', 'Ms']], WRITES, 'op_sidt');
sized('lgdt', [['0F 01 /2 mem', 'Ms']], {}, 'op_lgdt');
sized('lidt', [['0F 01 /3 mem', 'Ms']], {}, 'op_lidt');
const PROTECTED: Attributes = { protectedOnly: true };
sized('sldt', [['0F 00 /0 mod3', 'Rv']], PROTECTED, 'op_sldt');
op('sldt', [['0F 00 /0 mem', 'Mw']], { ...PROTECTED, ...WRITES }, 'op_sldtMem');
sized('str', [['0F 00 /1 mod3', 'Rv']], PROTECTED, 'op_str');
op('str', [['0F 00 /1 mem', 'Mw']], { ...PROTECTED, ...WRITES }, 'op_strMem');
eitherW('lldt', '0F 00 /2', PROTECTED, 'op_lldt');
eitherW('ltr', '0F 00 /3', PROTECTED, 'op_ltr');
eitherW('verr', '0F 00 /4', PROTECTED, 'op_verify', 0);
eitherW('verw', '0F 00 /5', PROTECTED, 'op_verify', 1);
for (const [name, opcode] of [
  ['lar', '02'],
  ['lsl', '03'],
] as const) {
  sized(name, [[`0F ${opcode} /r mod3`, 'Gv,Rw']], PROTECTED, `op_${name}`, 0);
  sized(name, [[`0F ${opcode} /r mem`, 'Gv,Mw']], PROTECTED, `op_${name}`, 1);
}
op('arpl', [['63 /r mod3 i64', 'Rw,Gw']], PROTECTED, 'op_arpl', 0);
op('arpl', [['63 /r mem i64', 'Mw,Gw']], { ...PROTECTED, ...WRITES }, 'op_arpl', 1);

// ---- control and debug registers -------------------------------------------------------------------------------------
op('mov_from_cr', [['0F 20 /r', 'Ry,Cd']], {}, 'op_movFromCr');
op('mov_to_cr', [['0F 22 /r', 'Cd,Ry']], ENDS, 'op_movToCr');
op('mov_from_dr', [['0F 21 /r', 'Ry,Dd']], {}, 'op_movFromDr');
op('mov_to_dr', [['0F 23 /r', 'Dd,Ry']], ENDS, 'op_movToDr');
op('clts', [['0F 06', '']], ENDS, 'op_clts');
sized('smsw', [['0F 01 /4 mod3', 'Rv']], {}, 'op_smsw');
op('smsw', [['0F 01 /4 mem', 'Mw']], WRITES, 'op_smswMem');
eitherW('lmsw', '0F 01 /6', ENDS, 'op_lmsw');
op('invlpg', [['0F 01 /7 mem', 'Mb']], ENDS, 'op_invlpg');
op(
  'invpcid',
  [
    ['66 0F 38 82 /r mem i64', 'Gd,Mdq'],
    ['66 0F 38 82 /r mem only64', 'Gq,Mdq'],
  ],
  { ends: true, feature: 'invpcid' },
  'op_invpcid',
);
op('invd', [['0F 08', '']], {}, 'op_wbinvd');
op('wbinvd', [['0F 09', '']], {}, 'op_wbinvd');
op('xgetbv', [['NP 0F 01 D0', '']], { feature: 'xsave' }, 'op_xgetbv');
op('xsetbv', [['NP 0F 01 D1', '']], { ends: true, feature: 'xsave' }, 'op_xsetbv');

// ---- identification, MSRs, time, random numbers ----------------------------------------------------------------------
op('cpuid', [['0F A2', '']], {}, 'op_cpuid');
op('rdmsr', [['0F 32', '']], {}, 'op_rdmsr');
op('wrmsr', [['0F 30', '']], ENDS, 'op_wrmsr');
op('rdtsc', [['0F 31', '']], {}, 'op_rdtsc');
op('rdtscp', [['0F 01 F9', '']], {}, 'op_rdtscp');
op('rdpmc', [['0F 33', '']], {}, 'op_rdpmc');
op(
  'rdpid',
  [
    ['F3 0F C7 /7 mod3 i64', 'Rd'],
    ['F3 0F C7 /7 mod3 only64', 'Rq'],
  ],
  { feature: 'rdpid' },
  'op_rdpid',
);
for (const [name, digit] of [
  ['rdrand', 6],
  ['rdseed', 7],
] as const) {
  const encodings: Encoding[] = [
    [`NP 0F C7 /${digit} mod3`, 'Rv'],
    [`66 0F C7 /${digit} mod3`, 'Rv'],
  ];
  sized(name, encodings, { feature: name }, 'op_rdrand');
}

// ---- state images and caches -----------------------------------------------------------------------------------------
sized('fxsave', [['NP 0F AE /0 mem', 'Mx512']], WRITES, 'op_fxsave');
sized('fxrstor', [['NP 0F AE /1 mem', 'Mx512']], {}, 'op_fxrstor');
export function loadMxcsr(e: Emitter, src: Operand): void {
  const value = e.read(src);
  e.raiseIf(w.and(value, w.i32c(~0xffff)), VECTOR.GP, w.i32c(0));
  e.setState(L.MXCSR, value);
}
export function storeMxcsr(e: Emitter, dst: Operand): void {
  e.write(dst, e.let(e.state(L.MXCSR, 'i32')));
}
system.op('ldmxcsr', [['NP 0F AE /2 mem', 'Md']], {}, (e, src) => {
  e.requireSse();
  loadMxcsr(e, src);
});
system.op('stmxcsr', [['NP 0F AE /3 mem', 'Md']], WRITES, (e, dst) => {
  e.requireSse();
  storeMxcsr(e, dst);
});
sized('xsave', [['NP 0F AE /4 mem', 'Mx512']], { writes: true, feature: 'xsave' }, 'op_xsave');
sized('xrstor', [['NP 0F AE /5 mem', 'Mx512']], { feature: 'xsave' }, 'op_xrstor');
sized('xsaveopt', [['NP 0F AE /6 mem', 'Mx512']], { writes: true, feature: 'xsaveopt' }, 'op_xsave');
op('clflush', [['NP 0F AE /7 mem', 'Mb']], {}, 'op_clflush');
op('clflushopt', [['66 0F AE /7 mem', 'Mb']], { feature: 'clflushopt' }, 'op_clflush');
op('clwb', [['66 0F AE /6 mem', 'Mb']], { feature: 'clwb' }, 'op_clflush');
// Memory accesses are in order here anyway.
for (const [name, digit] of [
  ['lfence', 5],
  ['mfence', 6],
  ['sfence', 7],
] as const)
  system.op(name, [[`NP 0F AE /${digit} mod3`, '']], {}, () => {});
