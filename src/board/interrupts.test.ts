import { describe, expect, it } from 'vitest';
import { RecordingIrqLine } from '../devices/testing.js';
import { InterruptRouter, WiredOr } from './interrupts.js';

function rig(): { router: InterruptRouter; pic: RecordingIrqLine[]; pins: RecordingIrqLine[] } {
  const pic = Array.from({ length: 16 }, () => new RecordingIrqLine());
  const pins = Array.from({ length: 24 }, () => new RecordingIrqLine());
  return { router: new InterruptRouter((irq) => pic[irq], pins), pic, pins };
}

const high = (lines: RecordingIrqLine[]): number[] => lines.flatMap(({ level }, n) => (level ? n : []));

describe('interrupt wiring', () => {
  it('takes ISA interrupts to the 8259 input and the IOAPIC pin of the same number', () => {
    const { router, pic, pins } = rig();
    router.isa(4).set(true);
    router.isa(9).set(true);
    expect(high(pic)).toEqual([4, 9]);
    expect(high(pins)).toEqual([4, 9]);
  });

  it('takes the timer to IOAPIC pin 2', () => {
    const { router, pic, pins } = rig();
    router.isa(0).set(true);
    expect(high(pic)).toEqual([0]);
    expect(high(pins)).toEqual([2]);
  });

  it('has no ISA interrupt 2, and none beyond 15', () => {
    const { router } = rig();
    for (const irq of [2, 16, -1, 1.5]) expect(() => router.isa(irq)).toThrow(RangeError);
  });

  it('keeps a shared line high until its last driver lets go', () => {
    const { router, pic, pins } = rig();
    const com1 = router.isa(4);
    const com3 = router.isa(4);
    com1.set(true);
    com3.set(true);
    com3.set(true);
    com1.set(false);
    expect(pic[4].level).toBe(true);
    com3.set(false);
    com3.set(false);
    expect(pic[4].history).toEqual([true, false]);
    expect(pins[4].history).toEqual([true, false]);
  });

  it('drives one side alone where asked', () => {
    const { router, pic, pins } = rig();
    router.picOnly(10).set(true);
    router.gsi(17).set(true);
    expect(high(pic)).toEqual([10]);
    expect(high(pins)).toEqual([17]);
  });

  it('passes pulses of one driver through', () => {
    const line = new RecordingIrqLine();
    const input = new WiredOr(line).input();
    for (let i = 0; i < 3; i++) {
      input.set(true);
      input.set(false);
    }
    expect(line.edges).toBe(3);
  });
});
