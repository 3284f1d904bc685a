/** Interrupt controllers of the kernel's, whole and split, with 32-bit guests of a few instructions that even a poor KVM runs. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ExitSink, IrqchipMode, VcpuState } from '../../../engine/contract.js';
import { KvmEngine } from '../../../engine/kvm/engine.js';
import type { KvmInterruptState } from '../../../engine/kvm/interrupt-state.js';
import { NodeKvmHost } from './host.js';
import { kvmAbsence, kvmOpens } from './testing.js';

const CODE = 0x1000;
/** The idle loop. */
const REST = 0x1100;
const HANDLERS = 0x5000;
const GDT = 0x3000;
const IDT = 0x4000;
const STACK = 0x8000;
const LAPIC = 0xfee0_0000;
const SECOND = 1e9;
/** Each handler says its vector on this port, and ends the interrupt at the local APIC. */
const SAY = 0x10;
/** Vector that the 8259 pair gives. */
const FROM_PIC = 0x21;

const word = (value: number) => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
const IDLE = [0xfb, 0xf4, 0xeb, 0xfd]; // sti; hlt; jmp to the hlt
const SPIN = [0xfa, 0xeb, 0xfe]; // cli; jmp $

const IOAPIC = 0xfec0_0000;
const PIN = 5;
const READY = 1;
/** Where the chips are the kernel's: pin 5 sends vector 33h, channel 0 of the PIT counts from 1234h; then READY is said. */
const SET_UP = [
  ...[0xc7, 0x05, ...word(IOAPIC), ...word(0x10 + 2 * PIN)], // mov dword [IOREGSEL], IOREDTBL of the pin
  ...[0xc7, 0x05, ...word(IOAPIC + 0x10), ...word(0x33)], // mov dword [IOWIN], vector 33h, edge, unmasked
  ...[0xb0, 0xff, 0xe6, 0x21], // the 8259 masks all
  ...[0xb0, 0x30, 0xe6, 0x43, 0xb0, 0x34, 0xe6, 0x40, 0xb0, 0x12, 0xe6, 0x40], // mode 0, count 1234h
  ...[0xb0, READY, 0xe6, SAY],
];

/**
 * mov al, vector; out SAY, al; mov dword [EOI], 0; and to the idle loop with an empty stack, for KVMs that emulate know no IRET
 * in protected mode: mov esp, STACK; mov eax, REST; jmp eax
 */
const handler = (vector: number) => [
  ...[0xb0, vector, 0xe6, SAY, 0xc7, 0x05, ...word(LAPIC + 0xb0), 0, 0, 0, 0],
  ...[0xbc, ...word(STACK), 0xb8, ...word(REST), 0xff, 0xe0],
];

function flat(state: VcpuState): VcpuState {
  const segment = (selector: number, attributes: number) => ({ selector, base: 0n, limit: 0xffff_ffff, attributes });
  const data = segment(16, 0xc093);
  return {
    ...state,
    gpr: state.gpr.map((_, i) => (i === 4 ? BigInt(STACK) : 0n)),
    rip: BigInt(CODE),
    rflags: 2n,
    cr0: 0x11n,
    cs: segment(8, 0xc09b),
    ss: data,
    ds: data,
    es: data,
    gdtr: { base: BigInt(GDT), limit: 0x17 },
    idtr: { base: BigInt(IDT), limit: 0x7ff },
    activity: 'running',
  };
}

describe.skipIf(!kvmOpens)(`the kernel's interrupt controllers${kvmAbsence}`, () => {
  let host: NodeKvmHost;
  let said: number[] = [];
  let acknowledged = 0;
  const engines: KvmEngine[] = [];
  const sink: ExitSink = {
    portIn: () => 0,
    portOut: (port, _size, value) => {
      if (port === SAY) said.push(value);
    },
    mmioRead: () => 0,
    mmioWrite: () => {},
    readMsr: () => undefined,
    writeMsr: () => false,
    acknowledgeInterrupt: (cpu) => {
      acknowledged++;
      engines.at(-1)!.vcpus[cpu].setInterruptRequest(false);
      return FROM_PIC;
    },
    readCr8: () => 0,
    writeCr8: () => {},
    readTsc: () => 0,
    entropy: () => 0,
  };
  beforeAll(() => {
    host = new NodeKvmHost();
  });
  afterEach(() => {
    for (const engine of engines.splice(0)) engine.close();
    said = [];
    acknowledged = 0;
  });
  afterAll(() => host.close());

  function empty(irqchip: IrqchipMode): KvmEngine {
    const engine = new KvmEngine({ memorySize: 2 << 20, cpus: 1, sink, tscHz: 1e9, irqchip }, host);
    engines.push(engine);
    return engine;
  }

  /** A guest in protected mode with a handler for every vector from 20h on, and its local APIC on. */
  function open(irqchip: IrqchipMode, code: readonly number[]): KvmEngine {
    const engine = empty(irqchip);
    const { memory, vcpus } = engine;
    memory.write(CODE, Uint8Array.from(code));
    memory.write(REST, Uint8Array.from(IDLE));
    memory.write(GDT, new Uint8Array(BigUint64Array.of(0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn).buffer));
    for (let vector = 0x20; vector < 0x80; vector++) {
      const at = HANDLERS + (vector - 0x20) * 64;
      memory.write(at, Uint8Array.from(handler(vector)));
      memory.write(IDT + vector * 8, Uint8Array.of(at & 0xff, at >> 8, 8, 0, 0, 0x8e, 0, 0));
    }
    vcpus[0].setState(flat(vcpus[0].getState()));
    vcpus[0].enableLapic();
    return engine;
  }

  /** Lets the guest run until something is so, at most for some seconds. */
  function serveUntil(engine: KvmEngine, isSo: () => boolean): void {
    engine.parallel!.start();
    const end = performance.now() + 10_000;
    while (!isSo() && performance.now() < end)
      engine.parallel!.serve(SECOND / 100, { select: () => {}, ended: (_, exit) => expect(exit).toBeUndefined() });
    engine.parallel!.stop();
  }

  /** Lets the guest run until it has said so many vectors. */
  const serve = (engine: KvmEngine, count: number) => serveUntil(engine, () => said.length >= count);

  test('split: take what the 8259 pair has when the vCPU can, also out of its HLT', () => {
    const engine = open('split', IDLE);
    serve(engine, 0);
    for (let i = 1; i <= 3; i++) {
      engine.parallel!.start();
      engine.vcpus[0].setInterruptRequest(true);
      serve(engine, i);
    }
    expect(said).toEqual([FROM_PIC, FROM_PIC, FROM_PIC]);
    expect(acknowledged).toBe(3);
  });

  test('split: tell the IOAPIC when a level has been ended, and only then', () => {
    const engine = open('split', IDLE);
    const { localApics } = engine;
    const ended: number[] = [];
    localApics!.onEoi((vector) => ended.push(vector));
    localApics!.routeLevel(10, LAPIC, 0xc060);
    expect(localApics!.signalPin(LAPIC, 0xc060)).toBe(true);
    serve(engine, 1);
    expect(localApics!.signalPin(LAPIC, 0x61)).toBe(true);
    serve(engine, 2);
    expect(localApics!.signalPin(LAPIC, 0xc060)).toBe(true);
    serve(engine, 3);
    // The end comes behind the handler's last word.
    serveUntil(engine, () => ended.length >= 2);
    expect(said).toEqual([0x60, 0x61, 0x60]);
    expect(ended).toEqual([0x60, 0x60]);
  });

  test.each(['kernel', 'split'] as const)('%s: take messages, each as often as it is sent', (irqchip) => {
    const engine = open(irqchip, IDLE);
    const send = (data: number) => (engine.controllers ?? engine.localApics)!.signalMsi(LAPIC, data);
    const sent: number[] = [];
    for (let i = 0; i < 12; i++) {
      const vector = 0x50 + (i % 3);
      send(vector);
      sent.push(vector);
      serve(engine, sent.length);
    }
    expect(said).toEqual(sent);
  });

  test.each(['kernel', 'split'] as const)('%s: go on in another machine where they were saved', (irqchip) => {
    const engine = open(irqchip, [...SET_UP, ...SPIN]);
    const controllers = (engine.controllers ?? engine.localApics)!;
    serve(engine, 1);
    expect(said.splice(0)).toEqual([READY]);
    // Interrupts are off, so what comes now is pending.
    controllers.signalMsi(LAPIC, 0x55);
    controllers.signalMsi(LAPIC, 0x44);
    engine.controllers?.setLevelInputs(0xe00);
    const state = engine.vcpus[0].getState();
    const before = controllers.save() as KvmInterruptState;
    const image = engine.memory.view(0, engine.memory.size).slice();

    // The machine goes on, and what was saved does not change with it.
    const goOn = (other: KvmEngine) => {
      other.vcpus[0].setState({ ...state, rip: BigInt(REST) });
    };
    goOn(engine);
    serve(engine, 2);
    expect(said.splice(0)).toEqual([0x55, 0x44]);

    const other = empty(irqchip);
    other.memory.write(0, image);
    goOn(other);
    const restored = (other.controllers ?? other.localApics)!;
    restored.restore(before);
    // Saved again before anything has run, they are the same but for what time does.
    const again = restored.save() as KvmInterruptState;
    const still = ({ cpus, chips, pit }: KvmInterruptState) => ({
      cpus: cpus.map(({ lapic, mpState, apicBase }) => ({ lapic, mpState, apicBase })),
      chips,
      // Count and latched count of channel 0.
      pit: pit?.slice(0, 6),
    });
    expect(still(again)).toEqual(still(before));
    expect(again.clock >= before.clock && again.clock < before.clock + BigInt(60 * SECOND)).toBe(true);
    expect(again.cpus[0].tsc).toBeGreaterThanOrEqual(before.cpus[0].tsc);
    serve(other, 2);
    // The IOAPIC's pin is still what the first machine's guest has made of it.
    other.controllers?.setIoapicPin(PIN, true);
    if (irqchip === 'kernel') serve(other, 3);
    expect(said).toEqual(irqchip === 'kernel' ? [0x55, 0x44, 0x33] : [0x55, 0x44]);
  });

  test('refuse the state of a machine that has them elsewhere', () => {
    const whole = open('kernel', IDLE).controllers!.save();
    expect(() => open('split', IDLE).localApics!.restore(whole)).toThrow(RangeError);
  });
});
