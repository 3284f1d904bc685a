/** A software engine with fake devices, for tests that run small programs or drive the core's functions directly. */
import type { Exit, ExitSink, VcpuState } from '../../src/engine/contract.js';
import { SoftEngine, type SoftModules } from '../../src/engine/soft/engine.js';
import type { SoftVcpu } from '../../src/engine/soft/vcpu.js';
import { compileModules } from './compile.js';

const MIB = 1 << 20;
let modules: Promise<SoftModules> | undefined;

export interface MachineOptions {
  /** Compiles regions. */
  regions?: boolean;
  /** Of what has been entered so often (a power of two). */
  hotEvery?: number;
  memory?: number;
  sink?: Partial<ExitSink>;
  arch?: 'amd64' | 'i386';
}

export class TestMachine {
  readonly engine: SoftEngine;
  /** Writes to ports that no test's sink takes: port, size, value. */
  readonly output: [port: number, size: number, value: number][] = [];
  /** MMIO accesses: 'r' or 'w', gpa, size, value. */
  readonly mmio: [kind: 'r' | 'w', gpa: number, size: number, value: number][] = [];
  /** Vectors that INTA gives, first to last. */
  readonly interrupts: number[] = [];

  private constructor(options: MachineOptions, compiled: SoftModules) {
    const sink: ExitSink = {
      portIn: (_port, size) => 2 ** (8 * size) - 1,
      portOut: (port, size, value) => void this.output.push([port, size, value]),
      mmioRead: (gpa, size) => {
        this.mmio.push(['r', gpa, size, 0]);
        return gpa & 0xff;
      },
      mmioWrite: (gpa, size, value) => void this.mmio.push(['w', gpa, size, value]),
      readMsr: () => undefined,
      writeMsr: () => false,
      acknowledgeInterrupt: () => {
        const vector = this.interrupts.shift() ?? -1;
        if (this.interrupts.length === 0) this.cpu.setInterruptRequest(false);
        return vector;
      },
      readCr8: () => 0,
      writeCr8: () => {},
      readTsc: () => this.cpu.instructions,
      entropy: () => 0x89ab_cdef,
      ...options.sink,
    };
    const config = { memorySize: options.memory ?? 16 * MIB, cpus: 1, sink, tscHz: 2e9, arch: options.arch ?? 'amd64' };
    this.engine = new SoftEngine(config, compiled);
  }

  static async create(options: MachineOptions = {}): Promise<TestMachine> {
    modules ??= compileModules();
    return new TestMachine(options, options.regions ? await compileModules(true, options.hotEvery) : await modules);
  }

  get cpu(): SoftVcpu {
    return this.engine.vcpus[0];
  }

  get state(): VcpuState {
    return this.cpu.getState();
  }

  set(change: (state: VcpuState) => void): void {
    const state = this.cpu.getState();
    change(state);
    this.cpu.setState(state);
  }

  /** Runs until something other than the budget's end; at most a million instructions. */
  run(budget = 1_000_000): Exit {
    return this.cpu.run(budget);
  }

  write(gpa: number, bytes: ArrayLike<number>): void {
    this.engine.memory.write(gpa, Uint8Array.from(bytes));
  }

  u64(gpa: number): bigint {
    return this.#view(gpa, 8).getBigUint64(0, true);
  }

  u32(gpa: number): number {
    return this.#view(gpa, 4).getUint32(0, true);
  }

  u16(gpa: number): number {
    return this.#view(gpa, 2).getUint16(0, true);
  }

  setU64(gpa: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.write(gpa, bytes);
  }

  #view(gpa: number, length: number): DataView {
    const bytes = this.engine.memory.view(gpa, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }
}
