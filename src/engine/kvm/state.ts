/** One vCPU's state between KVM's structures and the contract's VcpuState. */
import type { SegmentRegister, VcpuState } from '../contract.js';
import * as A from './abi.js';
import type { KvmCalls } from './calls.js';

/** MSRs that belong to a vCPU's state, where this KVM has them (SDM vol. 4). IA32_TSC_ADJUST says what the guest did to its TSC. */
export const STATE_MSRS: readonly number[] = [
  0x174, // IA32_SYSENTER_CS
  0x175, // IA32_SYSENTER_ESP
  0x176, // IA32_SYSENTER_EIP
  0x277, // IA32_PAT
  0x48, // IA32_SPEC_CTRL
  0x1a0, // IA32_MISC_ENABLE
  0x3b, // IA32_TSC_ADJUST
  0xc000_0081, // IA32_STAR
  0xc000_0082, // IA32_LSTAR
  0xc000_0083, // IA32_CSTAR
  0xc000_0084, // IA32_FMASK
  0xc000_0102, // IA32_KERNEL_GS_BASE
  0xc000_0103, // IA32_TSC_AUX
  0x4b56_4d00, // MSR_KVM_WALL_CLOCK_NEW
  0x4b56_4d01, // MSR_KVM_SYSTEM_TIME_NEW
  0x4b56_4d04, // MSR_KVM_PV_EOI_EN
];

/** struct kvm_regs: where each register of the encoding's order (RAX RCX RDX RBX RSP RBP RSI RDI R8..) lies. */
const GPR_OFFSETS = [0, 16, 24, 8, 48, 56, 32, 40, 64, 72, 80, 88, 96, 104, 112, 120] as const;
const REGS_RIP = 128;
const REGS_RFLAGS = 136;

/** XSAVE area: header's XSTATE_BV, and the upper halves of YMM0-15 in its standard form (SDM vol. 1, 13.4). */
const XSTATE_BV = 512;
const XSAVE_YMM_HIGH = 576;
const FXSAVE_SIZE = 512;
const YMM_HIGH_SIZE = 256;
const XCR0_X87_SSE_AVX = 7;

const DEBUGREG_OFFSETS = [0, 8, 16, 24, 32, 40] as const;
const MSR_ENTRY = 16;
const MSR_HEADER = 8;

/** What a vCPU's structures are read into, so that looking at one does not make garbage of ten kilobytes. */
export class StateTransfer {
  readonly regs = new DataView(new ArrayBuffer(A.SIZE.regs));
  readonly sregs = new DataView(new ArrayBuffer(A.SIZE.sregs));
  private readonly xsave = new DataView(new ArrayBuffer(A.SIZE.xsave));
  private readonly xcrs = new DataView(new ArrayBuffer(A.SIZE.xcrs));
  private readonly debug = new DataView(new ArrayBuffer(A.SIZE.debugregs));
  private readonly calls: KvmCalls;
  private readonly msrs: readonly number[];
  /** Bits of XCR0 that this guest may set; 0 without XSAVE. */
  private readonly xcr0: bigint;

  /** @param msrs those of STATE_MSRS that this KVM knows */
  constructor(calls: KvmCalls, msrs: readonly number[], xcr0: bigint) {
    this.calls = calls;
    this.msrs = msrs;
    this.xcr0 = xcr0;
  }

  read(fd: number, activity: VcpuState['activity']): VcpuState {
    const { regs, sregs, xsave, xcrs, debug } = this;
    this.get(fd, A.KVM_GET_REGS, regs, 'KVM_GET_REGS');
    this.get(fd, A.KVM_GET_SREGS, sregs, 'KVM_GET_SREGS');
    this.get(fd, A.KVM_GET_XSAVE, xsave, 'KVM_GET_XSAVE');
    this.get(fd, A.KVM_GET_DEBUGREGS, debug, 'KVM_GET_DEBUGREGS');
    if (this.xcr0 !== 0n) this.get(fd, A.KVM_GET_XCRS, xcrs, 'KVM_GET_XCRS');
    const segments = Object.fromEntries(
      A.SREGS_SEGMENTS.map((name, i) => [name, readSegment(sregs, i * A.SREGS_SEGMENT_SIZE)]),
    ) as Pick<VcpuState, (typeof A.SREGS_SEGMENTS)[number]>;
    return {
      gpr: GPR_OFFSETS.map((at) => regs.getBigUint64(at, true)),
      rip: regs.getBigUint64(REGS_RIP, true),
      rflags: regs.getBigUint64(REGS_RFLAGS, true),
      ...segments,
      gdtr: { base: sregs.getBigUint64(A.SREGS_GDT, true), limit: sregs.getUint16(A.SREGS_GDT + 8, true) },
      idtr: { base: sregs.getBigUint64(A.SREGS_IDT, true), limit: sregs.getUint16(A.SREGS_IDT + 8, true) },
      cr0: sregs.getBigUint64(A.SREGS_CR0, true),
      cr2: sregs.getBigUint64(A.SREGS_CR2, true),
      cr3: sregs.getBigUint64(A.SREGS_CR3, true),
      cr4: sregs.getBigUint64(A.SREGS_CR4, true),
      efer: sregs.getBigUint64(A.SREGS_EFER, true),
      dr: DEBUGREG_OFFSETS.map((at) => debug.getBigUint64(at, true)),
      xcr0: this.xcr0 === 0n ? 1n : xcrs.getBigUint64(16, true),
      fxsave: bytesOf(xsave).slice(0, FXSAVE_SIZE),
      ymmHigh: bytesOf(xsave).slice(XSAVE_YMM_HIGH, XSAVE_YMM_HIGH + YMM_HIGH_SIZE),
      msrs: this.readMsrs(fd),
      activity,
    };
  }

  /**
   * Everything but the activity. What KVM has pending (an interrupt half delivered, NMIs held back) goes, for a state is a
   * fresh start, unless `keep` says that only an instruction has been completed.
   */
  write(fd: number, state: VcpuState, keep = false): void {
    const { regs, sregs, xcrs, debug } = this;
    this.putRegs(state);
    // What is not in the state stays as it is: the APIC base and CR8.
    this.get(fd, A.KVM_GET_SREGS, sregs, 'KVM_GET_SREGS');
    A.SREGS_SEGMENTS.forEach((name, i) => {
      writeSegment(sregs, i * A.SREGS_SEGMENT_SIZE, state[name]);
    });
    for (const [at, table] of [
      [A.SREGS_GDT, state.gdtr],
      [A.SREGS_IDT, state.idtr],
    ] as const) {
      sregs.setBigUint64(at, BigInt.asUintN(64, table.base), true);
      sregs.setUint16(at + 8, table.limit, true);
    }
    for (const [at, value] of [
      [A.SREGS_CR0, state.cr0],
      [A.SREGS_CR2, state.cr2],
      [A.SREGS_CR3, state.cr3],
      [A.SREGS_CR4, state.cr4],
      [A.SREGS_EFER, state.efer],
    ] as const)
      sregs.setBigUint64(at, BigInt.asUintN(64, value), true);
    if (!keep) bytesOf(sregs).fill(0, A.SREGS_INTERRUPT_BITMAP);
    this.clearEvents(fd, keep);
    this.set(fd, A.KVM_SET_SREGS, sregs, 'KVM_SET_SREGS');
    if (this.xcr0 !== 0n) {
      bytesOf(xcrs).fill(0);
      xcrs.setUint32(0, 1, true);
      xcrs.setBigUint64(16, state.xcr0 & this.xcr0, true);
      this.set(fd, A.KVM_SET_XCRS, xcrs, 'KVM_SET_XCRS');
    }
    this.writeXsave(fd, state);
    bytesOf(debug).fill(0);
    DEBUGREG_OFFSETS.forEach((at, i) => {
      debug.setBigUint64(at, BigInt.asUintN(64, state.dr[i]), true);
    });
    this.set(fd, A.KVM_SET_DEBUGREGS, debug, 'KVM_SET_DEBUGREGS');
    this.writeMsrs(fd, state.msrs);
    this.set(fd, A.KVM_SET_REGS, regs, 'KVM_SET_REGS');
  }

  /**
   * After an instruction that was executed elsewhere, from `before` to `after`: only what it has changed. What KVM has pending
   * stays, but for the exception that the instruction was about. Control registers above all are left alone where they can
   * be, for KVM throws away translations with them.
   */
  replace(fd: number, before: VcpuState, after: VcpuState): void {
    if (!sameSystem(before, after) || before.xcr0 !== after.xcr0 || !sameWords(before.dr, after.dr)) {
      this.write(fd, after, true);
      return;
    }
    this.clearEvents(fd, true);
    if (!sameBytes(before.fxsave, after.fxsave) || !sameBytes(before.ymmHigh, after.ymmHigh))
      this.writeXsave(fd, after);
    this.writeMsrs(fd, after.msrs);
    this.putRegs(after);
    this.set(fd, A.KVM_SET_REGS, this.regs, 'KVM_SET_REGS');
  }

  private putRegs({ gpr, rip, rflags }: VcpuState): void {
    const { regs } = this;
    GPR_OFFSETS.forEach((at, i) => {
      regs.setBigUint64(at, BigInt.asUintN(64, gpr[i]), true);
    });
    regs.setBigUint64(REGS_RIP, BigInt.asUintN(64, rip), true);
    regs.setBigUint64(REGS_RFLAGS, BigInt.asUintN(64, rflags), true);
  }

  private writeXsave(fd: number, { fxsave, ymmHigh }: VcpuState): void {
    const { xsave } = this;
    bytesOf(xsave).fill(0);
    bytesOf(xsave).set(fxsave.subarray(0, FXSAVE_SIZE));
    bytesOf(xsave).set(ymmHigh.subarray(0, YMM_HIGH_SIZE), XSAVE_YMM_HIGH);
    xsave.setUint32(XSTATE_BV, this.xcr0 === 0n ? 3 : Number(this.xcr0) & XCR0_X87_SSE_AVX, true);
    this.set(fd, A.KVM_SET_XSAVE, xsave, 'KVM_SET_XSAVE');
  }

  /** Of the last `readBasics`: enough to see where a vCPU is. */
  readBasics(fd: number): { rip: bigint; rflags: bigint } {
    this.get(fd, A.KVM_GET_REGS, this.regs, 'KVM_GET_REGS');
    return { rip: this.regs.getBigUint64(REGS_RIP, true), rflags: this.regs.getBigUint64(REGS_RFLAGS, true) };
  }

  readApicBase(fd: number): bigint {
    this.get(fd, A.KVM_GET_SREGS, this.sregs, 'KVM_GET_SREGS');
    return this.sregs.getBigUint64(A.SREGS_APIC_BASE, true);
  }

  /** Everything else of the structure stays as it is. */
  writeApicBase(fd: number, base: bigint): void {
    this.get(fd, A.KVM_GET_SREGS, this.sregs, 'KVM_GET_SREGS');
    this.sregs.setBigUint64(A.SREGS_APIC_BASE, base, true);
    this.set(fd, A.KVM_SET_SREGS, this.sregs, 'KVM_SET_SREGS');
  }

  /** No exception is pending or half delivered, and without `keep` no interrupt or NMI is, nor held back. */
  private clearEvents(fd: number, keep: boolean): void {
    const events = new DataView(new ArrayBuffer(A.SIZE.events));
    if (keep) {
      this.get(fd, A.KVM_GET_VCPU_EVENTS, events, 'KVM_GET_VCPU_EVENTS');
      const isThere = bytesOf(events)
        .subarray(0, EVENTS_INTERRUPT)
        .some((byte) => byte !== 0);
      if (!isThere && events.getUint8(EVENTS_SHADOW) === 0) return;
      bytesOf(events).fill(0, 0, EVENTS_INTERRUPT);
      events.setUint8(EVENTS_SHADOW, 0);
    }
    events.setUint32(A.EVENTS_FLAGS, A.KVM_VCPUEVENT_VALID_NMI_PENDING | A.KVM_VCPUEVENT_VALID_SHADOW, true);
    this.set(fd, A.KVM_SET_VCPU_EVENTS, events, 'KVM_SET_VCPU_EVENTS');
  }

  private readMsrs(fd: number): Map<number, bigint> {
    const list = msrList(this.msrs.map((msr) => [msr, 0n]));
    this.get(fd, A.KVM_GET_MSRS, list, 'KVM_GET_MSRS');
    return new Map(this.msrs.map((msr, i) => [msr, list.getBigUint64(MSR_HEADER + i * MSR_ENTRY + 8, true)]));
  }

  private writeMsrs(fd: number, msrs: ReadonlyMap<number, bigint>): void {
    const known = this.msrs.flatMap((msr) => {
      const value = msrs.get(msr);
      return value === undefined ? [] : [[msr, value] as const];
    });
    if (known.length > 0) writeMsrs(this.calls, fd, known);
  }

  private get(fd: number, request: number, view: DataView, what: string): void {
    this.calls.ioctlBytes(fd, request, bytesOf(view), what);
  }

  private set(fd: number, request: number, view: DataView, what: string): void {
    this.calls.ioctlBytes(fd, request, bytesOf(view), what);
  }
}

/** struct kvm_vcpu_events: the exception comes first, then the interrupt with its shadow. */
const EVENTS_INTERRUPT = 8;
const EVENTS_SHADOW = 11;

/** Which of `msrs` this vCPU has: KVM_GET_MSRS stops at the first that it does not know. */
export function knownMsrs(calls: KvmCalls, fd: number, msrs: readonly number[]): number[] {
  return msrs.filter((msr) => calls.tryIoctlBytes(fd, A.KVM_GET_MSRS, bytesOf(msrList([[msr, 0n]]))) === 1);
}

export function readMsr(calls: KvmCalls, fd: number, msr: number): bigint {
  const list = msrList([[msr, 0n]]);
  calls.ioctlBytes(fd, A.KVM_GET_MSRS, bytesOf(list), 'KVM_GET_MSRS');
  return list.getBigUint64(MSR_HEADER + 8, true);
}

export function writeMsrs(calls: KvmCalls, fd: number, entries: readonly (readonly [number, bigint])[]): void {
  calls.ioctlBytes(fd, A.KVM_SET_MSRS, bytesOf(msrList(entries)), 'KVM_SET_MSRS');
}

function msrList(entries: readonly (readonly [msr: number, value: bigint])[]): DataView {
  const view = new DataView(new ArrayBuffer(MSR_HEADER + entries.length * MSR_ENTRY));
  view.setUint32(0, entries.length, true);
  entries.forEach(([msr, value], i) => {
    view.setUint32(MSR_HEADER + i * MSR_ENTRY, msr, true);
    view.setBigUint64(MSR_HEADER + i * MSR_ENTRY + 8, BigInt.asUintN(64, value), true);
  });
  return view;
}

// struct kvm_segment: base u64, limit u32, selector u16, then bytes: type present dpl db s l g avl unusable.
function readSegment(sregs: DataView, at: number): SegmentRegister {
  const byte = (n: number) => sregs.getUint8(at + 14 + n);
  const attributes =
    byte(0) | (byte(4) << 4) | (byte(2) << 5) | (byte(1) << 7) | (byte(7) << 12) | (byte(5) << 13) | (byte(3) << 14);
  return {
    base: sregs.getBigUint64(at, true),
    limit: sregs.getUint32(at + 8, true),
    selector: sregs.getUint16(at + 12, true),
    attributes: attributes | (byte(6) << 15) | (byte(8) << 16),
  };
}

function writeSegment(sregs: DataView, at: number, segment: SegmentRegister): void {
  const { attributes: a } = segment;
  sregs.setBigUint64(at, BigInt.asUintN(64, segment.base), true);
  sregs.setUint32(at + 8, segment.limit, true);
  sregs.setUint16(at + 12, segment.selector, true);
  const bytes = [a & 15, (a >> 7) & 1, (a >> 5) & 3, (a >> 14) & 1, (a >> 4) & 1, (a >> 13) & 1, (a >> 15) & 1];
  [...bytes, (a >> 12) & 1, (a >> 16) & 1, 0].forEach((value, i) => {
    sregs.setUint8(at + 14 + i, value);
  });
}

const SYSTEM = ['cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const;

/** Whether two states have the same segments, tables and control registers: struct kvm_sregs. */
function sameSystem(a: VcpuState, b: VcpuState): boolean {
  return (
    SYSTEM.every((name) => a[name] === b[name]) &&
    A.SREGS_SEGMENTS.every((name) => {
      const [one, other] = [a[name], b[name]];
      return (
        one.selector === other.selector &&
        one.base === other.base &&
        one.limit === other.limit &&
        one.attributes === other.attributes
      );
    }) &&
    (['gdtr', 'idtr'] as const).every((name) => a[name].base === b[name].base && a[name].limit === b[name].limit)
  );
}

function sameWords(a: readonly bigint[], b: readonly bigint[]): boolean {
  return a.every((word, i) => word === b[i]);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

export function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Power-on state, SDM vol. 3, table 10-1: the parts that are not zero. `signature` is CPUID 1's EAX, which RDX holds. */
export function resetState(signature: number, activity: VcpuState['activity']): VcpuState {
  const segment = (attributes: number, selector = 0, base = 0n): SegmentRegister => ({
    selector,
    base,
    limit: 0xffff,
    attributes,
  });
  const fxsave = new Uint8Array(FXSAVE_SIZE);
  const view = new DataView(fxsave.buffer);
  view.setUint16(0, 0x40, true); // FCW
  view.setUint32(24, 0x1f80, true); // MXCSR
  const gpr = Array.from({ length: 16 }, () => 0n);
  gpr[2] = BigInt(signature);
  return {
    gpr,
    rip: 0xfff0n,
    rflags: 2n,
    es: segment(0x93),
    cs: segment(0x9b, 0xf000, 0xffff_0000n),
    ss: segment(0x93),
    ds: segment(0x93),
    fs: segment(0x93),
    gs: segment(0x93),
    ldtr: segment(0x82),
    tr: segment(0x8b),
    gdtr: { base: 0n, limit: 0xffff },
    idtr: { base: 0n, limit: 0xffff },
    cr0: 0x6000_0010n,
    cr2: 0n,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
    dr: [0n, 0n, 0n, 0n, 0xffff_0ff0n, 0x400n],
    xcr0: 1n,
    fxsave,
    ymmHigh: new Uint8Array(YMM_HIGH_SIZE),
    msrs: new Map([
      [0x174, 0n],
      [0x175, 0n],
      [0x176, 0n],
      [0x277, 0x0007_0406_0007_0406n],
      [0x1a0, 1n],
      [0x3b, 0n],
      [0xc000_0081, 0n],
      [0xc000_0082, 0n],
      [0xc000_0083, 0n],
      [0xc000_0084, 0n],
      [0xc000_0102, 0n],
      [0xc000_0103, 0n],
      [0x4b56_4d00, 0n],
      [0x4b56_4d01, 0n],
      [0x4b56_4d04, 0n],
    ]),
    activity,
  };
}
