/**
 * A self-test of this host's KVM, of a few milliseconds: small pieces of guest code that do what every operating system
 * does first. There are KVMs that fail it (software ones, unfinished nested ones), and a guest would die there of something
 * that no one understands; so `--engine auto` asks first.
 */
import type { Exit, ExitSink, VcpuState } from '../contract.js';
import { QUIET_SINK } from '../quiet-sink.js';
import type { CallError, KvmHost } from './calls.js';
import { KvmEngine } from './engine.js';
import type { KvmVcpu } from './vcpu.js';
import { KvmUnfitError } from './vm.js';

export interface SelfTestResult {
  /** What failed, each as a name and what was seen; none: guests can run. */
  readonly failures: readonly string[];
}

// Where things lie in the test's 2 MiB of RAM. The first MiB is mapped one to one, 4 KiB a page.
const PML4 = 0x1000;
const PDPT = 0x2000;
const PD = 0x3000;
const PT = 0x4000;
const GDT = 0x5000;
const IDT = 0x6000;
const TSS = 0x7000;
const STUBS = 0x8000;
const KERNEL_STACK = 0xa000;
const KERNEL_CODE = 0xb000;
const DATA = 0xc000;
const SYSCALL_ENTRY = 0xd000;
const USER_CODE = 0x10000;
const USER_STACK = 0x12000;
/** Linear addresses: not mapped at all. */
const ABSENT = 0x30_0000;
const RAM = 2 << 20;
const PAGE = 4096;

const K_CODE = 0x08;
const K_DATA = 0x10;
const U_DATA = 0x1b;
const U_CODE = 0x23;
const TASK = 0x28;

/** A piece writes its outcome here: a vector, or DONE. */
const REPORT_PORT = 0xf4;
const DONE = 0xff;
/** Long enough for a busy host, in µs. */
const PATIENCE = 200_000;

const P = 1;
const W = 2;
const U = 4;

interface Seen {
  readonly outcome: number;
  readonly state: VcpuState;
  /** What was pushed on the kernel's stack, lowest first. */
  readonly frame: readonly number[];
  /** The first bytes at DATA. */
  readonly data: DataView;
  /** The low bits of XCR0 that the guest was told of. */
  readonly xcr0: number;
}

interface Check {
  readonly name: string;
  /** Whether this KVM claims to have what is tested. */
  readonly applies?: (engine: KvmEngine) => boolean;
  readonly code: readonly number[];
  readonly ring: 0 | 3;
  readonly before?: (engine: KvmEngine, vcpu: KvmVcpu, state: VcpuState) => void;
  /** What is wrong; undefined: nothing. */
  readonly judge: (seen: Seen) => string | undefined;
}

const report = (value: number) => [0xb0, value, 0xe6, REPORT_PORT]; // mov al, value; out REPORT_PORT, al
const expectDone = ({ outcome }: Seen) => (outcome === DONE ? undefined : describe(outcome));

function describe(outcome: number): string {
  return outcome === DONE ? 'nothing happened' : `vector ${outcome} instead`;
}

/** A fault with this vector, error code and CS of the frame. */
function expectFault(vector: number, error: number, cs: number) {
  return ({ outcome, frame }: Seen) => {
    if (outcome !== vector) return describe(outcome);
    if (frame[0] !== error) return `error code ${frame[0]} instead of ${error}`;
    return frame[2] === cs ? undefined : `from segment ${frame[2]} instead of ${cs}`;
  };
}

const CHECKS: readonly Check[] = [
  {
    name: 'kernel mode',
    ring: 0,
    // mov eax, 2; lea rbx, [rax+rax*4]; imul rbx, rbx; mov [DATA], rbx; DONE
    code: [
      0xb8,
      2,
      0,
      0,
      0,
      0x48,
      0x8d,
      0x1c,
      0x80,
      0x48,
      0x0f,
      0xaf,
      0xdb,
      0x48,
      0x89,
      0x1c,
      0x25,
      ...word(DATA),
      ...report(DONE),
    ],
    judge: (seen) => expectDone(seen) ?? (seen.data.getUint32(0, true) === 100 ? undefined : 'wrong arithmetic'),
  },
  {
    name: 'CPUID',
    ring: 0,
    // mov eax, 0Dh; xor ecx, ecx; cpuid; mov [DATA], eax
    code: [0xb8, 0xd, 0, 0, 0, 0x31, 0xc9, 0x0f, 0xa2, 0x89, 0x04, 0x25, ...word(DATA), ...report(DONE)],
    judge: (seen) =>
      expectDone(seen) ??
      ((seen.data.getUint32(0, true) & ~seen.xcr0) === 0 ? undefined : 'the guest sees more than it was given'),
  },
  {
    name: 'SSE',
    ring: 0,
    // mov dword [DATA], 1F80h; ldmxcsr [DATA]; mov eax, 3; cvtsi2sd xmm0, eax; addsd xmm0, xmm0; cvtsd2si eax, xmm0; mov [DATA], eax
    code: [
      0xc7,
      0x04,
      0x25,
      ...word(DATA),
      0x80,
      0x1f,
      0,
      0,
      0x0f,
      0xae,
      0x14,
      0x25,
      ...word(DATA),
      0xb8,
      3,
      0,
      0,
      0,
      0xf2,
      0x0f,
      0x2a,
      0xc0,
      0xf2,
      0x0f,
      0x58,
      0xc0,
      0xf2,
      0x0f,
      0x2d,
      0xc0,
      0x89,
      0x04,
      0x25,
      ...word(DATA),
      ...report(DONE),
    ],
    judge: (seen) => expectDone(seen) ?? (seen.data.getUint32(0, true) === 6 ? undefined : 'wrong sum'),
  },
  {
    name: 'FWAIT',
    ring: 0,
    code: [0x9b, ...report(DONE)],
    judge: expectDone,
  },
  {
    name: 'CMPXCHG16B',
    ring: 0,
    applies: (engine) => engine.feature(1, 'ecx', 13),
    // zero RAX, RDX; mov ebx, 5; xor ecx, ecx; cmpxchg16b [DATA]
    code: [
      0x31,
      0xc0,
      0x31,
      0xd2,
      0xbb,
      5,
      0,
      0,
      0,
      0x31,
      0xc9,
      0x48,
      0x0f,
      0xc7,
      0x0c,
      0x25,
      ...word(DATA),
      ...report(DONE),
    ],
    judge: (seen) => expectDone(seen) ?? (seen.data.getUint32(0, true) === 5 ? undefined : 'nothing exchanged'),
  },
  {
    name: 'int3',
    ring: 0,
    code: [0xcc, ...report(DONE)],
    judge: ({ outcome }) => (outcome === 3 ? undefined : describe(outcome)),
  },
  {
    name: 'page fault',
    ring: 0,
    // mov [ABSENT], al
    code: [0x88, 0x04, 0x25, ...word(ABSENT), ...report(DONE)],
    judge: (seen) =>
      expectFault(14, W, K_CODE)(seen) ?? (seen.state.cr2 === BigInt(ABSENT) ? undefined : 'CR2 is wrong'),
  },
  {
    name: 'user mode page fault',
    ring: 3,
    // mov al, [DATA], which is the kernel's
    code: [0x8a, 0x04, 0x25, ...word(DATA), 0xf4],
    judge: expectFault(14, P | U, U_CODE),
  },
  {
    name: 'user mode HLT',
    ring: 3,
    code: [0xf4],
    judge: expectFault(13, 0, U_CODE),
  },
  {
    name: 'user mode INT 80h',
    ring: 3,
    code: [0xcd, 0x80],
    judge: ({ outcome, frame }) =>
      outcome !== 0x80 ? describe(outcome) : frame[1] === U_CODE ? undefined : `from segment ${frame[1]}`,
  },
  {
    name: 'SYSCALL',
    ring: 3,
    code: [0x0f, 0x05, 0xf4],
    judge: ({ outcome, state }) => {
      if (outcome !== DONE) return describe(outcome);
      if ((state.cs.selector & 3) !== 0) return 'it stayed in user mode';
      return Number(state.gpr[1]) === USER_CODE + 2 ? undefined : 'RCX is not the return address';
    },
  },
  {
    name: 'interrupt',
    ring: 0,
    // sti; hlt: the local APIC has been sent vector 50h
    code: [0xfb, 0xf4, ...report(DONE)],
    before: (engine, vcpu) => {
      vcpu.enableLapic();
      engine.vm.signalMsi(0xfee0_0000, 0x50);
    },
    judge: ({ outcome }) => (outcome === 0x50 ? undefined : outcome === DONE ? 'it did not come' : describe(outcome)),
  },
];

/** Runs all checks, or only to the first that fails. */
export function selfTest(host: KvmHost, onlyFirst = false): SelfTestResult {
  let outcome = -1;
  let vcpu: KvmVcpu | undefined;
  const sink: ExitSink = {
    ...QUIET_SINK,
    portIn: () => 0xffff_ffff,
    portOut: (port, _size, value) => {
      if (port !== REPORT_PORT) return;
      outcome = value;
      vcpu?.kick();
    },
  };
  let engine: KvmEngine;
  try {
    engine = new KvmEngine({ memorySize: RAM, cpus: 1, sink, tscHz: 1e9, irqchip: 'kernel' }, host);
  } catch (error) {
    if (error instanceof KvmUnfitError || isCallError(error)) return { failures: [error.message] };
    throw error;
  }
  try {
    const [cpu] = engine.vcpus;
    vcpu = cpu;
    const fresh = cpu.getState();
    placeTables(engine);
    const failures: string[] = [];
    for (const check of CHECKS) {
      if (check.applies?.(engine) === false) continue;
      outcome = -1;
      const wrong = runCheck(engine, cpu, fresh, check, () => outcome);
      if (wrong !== undefined) failures.push(`${check.name} (${wrong})`);
      if (onlyFirst && failures.length > 0) break;
    }
    return { failures };
  } finally {
    engine.close();
  }
}

function runCheck(
  engine: KvmEngine,
  vcpu: KvmVcpu,
  fresh: VcpuState,
  { code, ring, before, judge }: Check,
  outcome: () => number,
): string | undefined {
  const { memory } = engine;
  memory.write(DATA, new Uint8Array(64));
  memory.write(ring === 0 ? KERNEL_CODE : USER_CODE, Uint8Array.from(code));
  try {
    const state = initialState(fresh, ring);
    vcpu.setState(state);
    before?.(engine, vcpu, state);
    const exit = vcpu.run(PATIENCE);
    if (exit.kind !== 'kick') return endOf(exit);
    const after = vcpu.getState();
    const view = (at: number, length: number) => {
      const bytes = memory.view(at, length);
      return new DataView(bytes.buffer, bytes.byteOffset, length);
    };
    const sp = Number(BigInt.asUintN(32, after.gpr[4])) % RAM;
    const words = Math.min(5, (RAM - sp) >> 3);
    const stack = view(sp, words * 8);
    const frame = Array.from({ length: words }, (_, i) => stack.getUint32(i * 8, true));
    return judge({ outcome: outcome(), state: after, frame, data: view(DATA, 64), xcr0: engine.xcr0 });
  } catch (error) {
    if (isCallError(error)) return error.message;
    throw error;
  }
}

function endOf(exit: Exit): string {
  if (exit.kind === 'budget') return 'it did not come to its end';
  return 'detail' in exit ? exit.detail : exit.kind;
}

function isCallError(error: unknown): error is CallError {
  return error instanceof Error && 'code' in error;
}

function initialState(fresh: VcpuState, ring: 0 | 3): VcpuState {
  const segment = (selector: number, attributes: number, base = 0, limit = 0xffff_ffff) => ({
    selector,
    base: BigInt(base),
    limit,
    attributes: attributes | ((selector & 3) << 5),
  });
  const data = segment(ring === 0 ? K_DATA : U_DATA, 0xc093);
  const gpr = Array.from({ length: 16 }, () => 0n);
  gpr[4] = BigInt(ring === 0 ? KERNEL_STACK : USER_STACK);
  const msrs = new Map(fresh.msrs);
  msrs.set(0xc000_0081, (BigInt(K_CODE) << 32n) | (BigInt(U_DATA - 8) << 48n)); // STAR
  msrs.set(0xc000_0082, BigInt(SYSCALL_ENTRY)); // LSTAR
  msrs.set(0xc000_0084, 0x200n); // FMASK: IF
  return {
    ...fresh,
    gpr,
    rip: BigInt(ring === 0 ? KERNEL_CODE : USER_CODE),
    rflags: 2n,
    cs: segment(ring === 0 ? K_CODE : U_CODE, 0xa09b),
    ss: data,
    ds: data,
    es: data,
    fs: data,
    gs: data,
    tr: segment(TASK, 0x8b, TSS, 0x67),
    gdtr: { base: BigInt(GDT), limit: 0x37 },
    idtr: { base: BigInt(IDT), limit: 0xfff },
    cr0: 0x8001_0033n, // PG WP NE ET MP PE
    cr3: BigInt(PML4),
    cr4: 0x620n, // OSXMMEXCPT OSFXSR PAE
    efer: 0xd01n, // NXE LMA LME SCE
    msrs,
    activity: 'running',
  };
}

function placeTables(engine: KvmEngine): void {
  const image = new DataView(new ArrayBuffer(RAM));
  const put = (at: number, value: bigint) => image.setBigUint64(at, value, true);
  put(PML4, BigInt(PDPT | P | W | U));
  put(PDPT, BigInt(PD | P | W | U));
  put(PD, BigInt(PT | P | W | U));
  for (let page = 0; page < 256; page++) {
    const at = page * PAGE;
    put(PT + page * 8, BigInt(at | P | W | (at >= USER_CODE && at < USER_CODE + 4 * PAGE ? U : 0)));
  }
  put(GDT + K_CODE, 0x00af_9b00_0000_ffffn);
  put(GDT + K_DATA, 0x00cf_9300_0000_ffffn);
  put(GDT + (U_DATA & ~3), 0x00cf_f300_0000_ffffn);
  put(GDT + (U_CODE & ~3), 0x00af_fb00_0000_ffffn);
  put(GDT + TASK, 0x8b00_0000_0067n | (BigInt(TSS) << 16n));
  image.setUint32(TSS + 4, KERNEL_STACK, true);
  image.setUint16(TSS + 0x66, 0x68, true);
  for (let vector = 0; vector < 256; vector++) {
    const stub = STUBS + vector * 16;
    const dpl = vector === 0x80 ? 3n : 0n;
    put(
      IDT + vector * 16,
      BigInt(stub & 0xffff) | (BigInt(K_CODE) << 16n) | ((0x8en | (dpl << 5n)) << 40n) | (BigInt(stub >> 16) << 48n),
    );
    [...report(vector), 0xf4].forEach((byte, i) => {
      image.setUint8(stub + i, byte);
    });
  }
  report(DONE).forEach((byte, i) => {
    image.setUint8(SYSCALL_ENTRY + i, byte);
  });
  engine.memory.write(0, new Uint8Array(image.buffer, 0, USER_STACK));
}

/** Four bytes, little-endian. */
function word(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}
