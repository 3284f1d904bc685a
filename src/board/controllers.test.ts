import { expect, test } from 'vitest';
import { FakeClock } from '../devices/testing.js';
import type { EngineInterruptState, EngineLocalApics } from '../engine/contract.js';
import { MmioBus, PortBus } from './bus.js';
import { SplitControllers } from './controllers.js';

/** Local APICs that note what they are sent. */
class FakeApics implements EngineLocalApics {
  readonly sent: [address: number, data: number][] = [];
  readonly routed: [pin: number, address: number, data: number][] = [];
  end: (vector: number) => void = () => {};
  state: EngineInterruptState = { version: 7 };
  signalMsi = (address: number, data: number) => this.sent.push([address, data]) > 0;
  signalPin = this.signalMsi;
  routeLevel = (pin: number, address: number, data: number) => void this.routed.push([pin, address, data]);
  onEoi = (listener: (vector: number) => void) => void (this.end = listener);
  save = () => this.state;
  restore = (state: EngineInterruptState) => void (this.state = state);
}

function make() {
  const apics = new FakeApics();
  const mmio = new MmioBus();
  const ports = new PortBus();
  const controllers = new SplitControllers(apics, 1, { clock: new FakeClock(), ports, mmio });
  const requests: boolean[] = [];
  const cpu = { setInterruptRequest: (level: boolean) => void requests.push(level), nmi() {}, init() {}, sipi() {} };
  controllers.attachVcpus([cpu]);
  /** Redirection entry of a pin. */
  const program = (pin: number, low: number, high: number) => {
    for (const [register, value] of [
      [0x11 + 2 * pin, high],
      [0x10 + 2 * pin, low],
    ]) {
      mmio.write(0xfec0_0000, 4, register);
      mmio.write(0xfec0_0010, 4, value);
    }
  };
  return { apics, ports, controllers, requests, program };
}

test('with local APICs of the engine, a pin that is a level sends again after its end, while it is asserted', () => {
  const { apics, controllers, program } = make();
  program(17, 0x8841, 0x0300_0000); // level, logical destination, fixed
  const message = [0xfee0_3004, 0xc041] as const;
  expect(apics.routed.at(-1)).toEqual([17, ...message]);
  const line = controllers.router.gsi(17);
  line.set(true);
  expect(apics.sent).toEqual([message]);
  apics.end(0x40);
  expect(apics.sent).toHaveLength(1);
  apics.end(0x41);
  expect(apics.sent).toEqual([message, message]);
  line.set(false);
  apics.end(0x41);
  expect(apics.sent).toHaveLength(2);
});

test('with local APICs of the engine, the 8259 pair asks vCPU 0 and is acknowledged by it', () => {
  const { ports, controllers, requests } = make();
  // ICW1 to ICW4 of the master: vectors from 20h; all but input 4 masked.
  for (const [port, value] of [
    [0x20, 0x11],
    [0x21, 0x20],
    [0x21, 4],
    [0x21, 1],
    [0x21, 0xef],
  ])
    ports.out(port, 1, value);
  controllers.router.isa(4).set(true);
  expect(requests).toEqual([true]);
  expect(controllers.acknowledge()).toBe(0x24);
  expect(requests).toEqual([true, false]);
});

test('with local APICs of the engine, the chips are saved with what the engine has', () => {
  const one = make();
  one.program(3, 0x33, 0x0100_0000);
  const saved = one.controllers.save();
  const other = make();
  other.apics.state = { version: 0 };
  other.controllers.restore(saved);
  expect(other.apics.state).toEqual({ version: 7 });
  other.controllers.router.gsi(3).set(true);
  expect(other.apics.sent).toEqual([[0xfee0_1000, 0x33]]);
  const { engine: _, ...chips } = saved;
  expect(() => other.controllers.restore(chips)).toThrow(RangeError);
});
