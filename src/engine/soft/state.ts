/** One vCPU's state between the engine's memory (layout.ts) and the contract's VcpuState. */
import type { DescriptorTable, SegmentRegister, VcpuState } from '../contract.js';
import type { CoreExports } from './core-exports.js';
import * as L from './layout.js';

/** MSRs that the engine keeps in the CPU state, by number (SDM vol. 4). */
const OWN_MSRS: readonly (readonly [msr: number, address: number])[] = [
  [0x174, L.MSR_SYSENTER_CS],
  [0x175, L.MSR_SYSENTER_ESP],
  [0x176, L.MSR_SYSENTER_EIP],
  [0x277, L.MSR_PAT],
  [0x48, L.MSR_SPEC_CTRL],
  [0x1a0, L.MSR_MISC_ENABLE],
  [0x3b, L.MSR_TSC_ADJUST],
  [0xc000_0081, L.MSR_STAR],
  [0xc000_0082, L.MSR_LSTAR],
  [0xc000_0083, L.MSR_CSTAR],
  [0xc000_0084, L.MSR_FMASK],
  [0xc000_0102, L.MSR_KERNEL_GS_BASE],
  [0xc000_0103, L.MSR_TSC_AUX],
];

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
const CONTROLS = ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'xcr0'] as const;
const ACTIVITIES = ['running', 'halted', 'wait-for-sipi'] as const;
const FXSAVE_SIZE = 512;
const YMM_HIGH_SIZE = 256;

export function readState(memory: DataView, core: CoreExports): VcpuState {
  const u64 = (a: number) => memory.getBigUint64(a, true);
  const u32 = (a: number) => memory.getUint32(a, true);
  const segment = (n: number): SegmentRegister => {
    const a = L.SEGS + n * L.SEG_SIZE;
    return {
      selector: u32(a + L.SEG_SEL),
      base: u64(a + L.SEG_BASE),
      limit: u32(a + L.SEG_LIMIT),
      attributes: u32(a + L.SEG_ATTR),
    };
  };
  const table = (a: number): DescriptorTable => ({ base: u64(a), limit: u32(a + 8) });
  const segments = Object.fromEntries(SEGMENTS.map((name, n) => [name, segment(n)])) as Record<
    (typeof SEGMENTS)[number],
    SegmentRegister
  >;
  const controls = Object.fromEntries(CONTROLS.map((name, n) => [name, u64(L.CR0 + n * 8)])) as Record<
    (typeof CONTROLS)[number],
    bigint
  >;
  core.fxsaveImage(L.FX_IMAGE);
  return {
    gpr: Array.from({ length: 16 }, (_, n) => u64(L.REGS + n * 8)),
    rip: u64(L.RIP),
    rflags: BigInt(core.getFlags() >>> 0),
    ...segments,
    gdtr: table(L.GDTR),
    idtr: table(L.IDTR),
    ...controls,
    dr: [0, 1, 2, 3, 6, 7].map((n) => u64(L.DR + n * 8)),
    fxsave: new Uint8Array(memory.buffer, L.FX_IMAGE, FXSAVE_SIZE).slice(),
    ymmHigh: new Uint8Array(memory.buffer, L.YMMH, YMM_HIGH_SIZE).slice(),
    msrs: new Map(OWN_MSRS.map(([msr, a]) => [msr, u64(a)])),
    activity: ACTIVITIES[u32(L.ACTIVITY)],
  };
}

export function writeState(memory: DataView, core: CoreExports, state: VcpuState): void {
  const put64 = (a: number, v: bigint) => memory.setBigUint64(a, BigInt.asUintN(64, v), true);
  const put32 = (a: number, v: number) => memory.setUint32(a, v, true);
  state.gpr.forEach((v, n) => {
    put64(L.REGS + n * 8, v);
  });
  put64(L.RIP, state.rip);
  SEGMENTS.forEach((name, n) => {
    const a = L.SEGS + n * L.SEG_SIZE;
    const s = state[name];
    put64(a + L.SEG_BASE, s.base);
    put32(a + L.SEG_LIMIT, s.limit);
    put32(a + L.SEG_ATTR, s.attributes);
    put32(a + L.SEG_SEL, s.selector);
  });
  for (const [a, t] of [
    [L.GDTR, state.gdtr],
    [L.IDTR, state.idtr],
  ] as const) {
    put64(a, t.base);
    put32(a + 8, t.limit);
  }
  CONTROLS.forEach((name, n) => {
    put64(L.CR0 + n * 8, state[name]);
  });
  [0, 1, 2, 3, 6, 7].forEach((n, i) => {
    put64(L.DR + n * 8, state.dr[i]);
  });
  for (const [msr, a] of OWN_MSRS) {
    const v = state.msrs.get(msr);
    if (v !== undefined) put64(a, v);
  }
  new Uint8Array(memory.buffer, L.FX_IMAGE, FXSAVE_SIZE).set(state.fxsave.subarray(0, FXSAVE_SIZE));
  core.fxrstorImage(L.FX_IMAGE);
  new Uint8Array(memory.buffer, L.YMMH, YMM_HIGH_SIZE).set(state.ymmHigh.subarray(0, YMM_HIGH_SIZE));
  put32(L.ACTIVITY, ACTIVITIES.indexOf(state.activity));
  core.setFlags(Number(BigInt.asIntN(32, state.rflags)), -1);
  core.stateLoaded();
}
