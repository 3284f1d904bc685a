import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { playPortOps, portOps } from '../testing.js';
import { Pic8259Pair, type PicState } from './pic.js';

let pic: Pic8259Pair;

/** The initialization of a PC: vectors 20h-2Fh, cascade on 2, nothing masked. */
function init(options: { masterIcw4?: number; slaveIcw4?: number } = {}): void {
  pic.master.portOut(0, 1, 0x11);
  pic.master.portOut(1, 1, 0x20);
  pic.master.portOut(1, 1, 0x04);
  pic.master.portOut(1, 1, options.masterIcw4 ?? 0x01);
  pic.slave.portOut(0, 1, 0x11);
  pic.slave.portOut(1, 1, 0x28);
  pic.slave.portOut(1, 1, 0x02);
  pic.slave.portOut(1, 1, options.slaveIcw4 ?? 0x01);
}

function pulse(n: number): void {
  pic.irq(n).set(true);
  pic.irq(n).set(false);
}

const EOI = 0x20;
function status(chip: 'master' | 'slave', ocw3: number): number {
  pic[chip].portOut(0, 1, ocw3);
  return pic[chip].portIn(0, 1);
}

const masterIrr = () => status('master', 0x0a);
const masterIsr = () => status('master', 0x0b);
const slaveIsr = () => status('slave', 0x0b);

beforeEach(() => {
  pic = new Pic8259Pair();
  init();
});

describe('requests and acknowledge', () => {
  test('a pulse raises INTR, INTA gives the ICW2 vector and moves the request from IRR to ISR', () => {
    pulse(5);
    expect(pic.intr).toBe(true);
    expect(masterIrr()).toBe(0x20);
    expect(pic.acknowledge()).toBe(0x25);
    expect(pic.intr).toBe(false);
    expect(masterIrr()).toBe(0);
    expect(masterIsr()).toBe(0x20);
  });

  test('a slave request goes through input 2 and both chips are in service until both get an EOI', () => {
    pulse(11);
    expect(pic.acknowledge()).toBe(0x2b);
    expect(masterIsr()).toBe(0x04);
    expect(slaveIsr()).toBe(0x08);
    pic.slave.portOut(0, 1, EOI);
    pic.master.portOut(0, 1, EOI);
    expect(masterIsr()).toBe(0);
    expect(slaveIsr()).toBe(0);
  });

  test('the highest priority wins: IRQ 0, 1, 8 to 15, 3 to 7', () => {
    for (const n of [7, 15, 3, 8, 1, 0]) pulse(n);
    const order: number[] = [];
    while (pic.intr) {
      const vector = pic.acknowledge();
      order.push(vector - 0x20);
      if (vector >= 0x28) pic.slave.portOut(0, 1, EOI);
      pic.master.portOut(0, 1, EOI);
    }
    expect(order).toEqual([0, 1, 8, 15, 3, 7]);
  });

  test('a request of lower or the same priority waits for the EOI, a higher one interrupts', () => {
    pulse(3);
    pic.acknowledge();
    pulse(3);
    pulse(4);
    expect(pic.intr).toBe(false);
    pulse(1);
    expect(pic.intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x21);
    pic.master.portOut(0, 1, EOI);
    expect(pic.intr).toBe(false);
    pic.master.portOut(0, 1, EOI);
    expect(pic.acknowledge()).toBe(0x23);
  });

  test('a masked request waits in IRR and comes through when unmasked', () => {
    pic.master.portOut(1, 1, 0xff);
    pulse(6);
    expect(pic.intr).toBe(false);
    expect(masterIrr()).toBe(0x40);
    pic.master.portOut(1, 1, 0x00);
    expect(pic.acknowledge()).toBe(0x26);
  });

  test('INTA without a request gives the spurious IRQ 7 and leaves nothing in service', () => {
    expect(pic.acknowledge()).toBe(0x27);
    expect(masterIsr()).toBe(0);
  });

  test('INTA for a cascade request that the slave no longer has gives the spurious IRQ 15', () => {
    pic.irq(2).set(true);
    expect(pic.acknowledge()).toBe(0x2f);
    expect(masterIsr()).toBe(0x04);
    expect(slaveIsr()).toBe(0);
  });

  test('onIntr hears each change of INTR once', () => {
    const heard: boolean[] = [];
    pic.onIntr((level) => heard.push(level));
    pulse(12);
    pulse(12);
    pic.acknowledge();
    pic.slave.portOut(0, 1, EOI);
    pic.master.portOut(0, 1, EOI);
    pulse(4);
    pic.master.portOut(1, 1, 0x10);
    expect(heard).toEqual([true, false, true, false]);
  });

  test('an input number outside 0 to 15 is refused', () => {
    expect(() => pic.irq(16)).toThrow(RangeError);
  });
});

describe('edge and level triggering', () => {
  test('an edge input that stays high requests once', () => {
    pic.irq(5).set(true);
    pic.acknowledge();
    pic.master.portOut(0, 1, EOI);
    expect(pic.intr).toBe(false);
    pic.irq(5).set(false);
    pic.irq(5).set(true);
    expect(pic.intr).toBe(true);
  });

  test('a level input requests again after its EOI while it is high, and no more once low', () => {
    pic.elcr.portOut(1, 1, 0x08);
    pic.irq(11).set(true);
    expect(pic.acknowledge()).toBe(0x2b);
    pic.slave.portOut(0, 1, EOI);
    pic.master.portOut(0, 1, EOI);
    expect(pic.intr).toBe(true);
    pic.irq(11).set(false);
    expect(pic.intr).toBe(false);
  });

  test('ELCR bits of IRQ 0, 1, 2, 8 and 13 read zero; a 16-bit access covers both registers', () => {
    pic.elcr.portOut(0, 2, 0xffff);
    expect(pic.elcr.portIn(0, 2)).toBe(0xdef8);
    expect(pic.elcr.portIn(0, 1)).toBe(0xf8);
    expect(pic.elcr.portIn(1, 1)).toBe(0xde);
  });

  test('making an input level-triggered drops a latched edge and takes up a high level', () => {
    pulse(5);
    pic.elcr.portOut(0, 1, 0x20);
    expect(pic.intr).toBe(false);
    pic.elcr.portOut(0, 1, 0x00);
    pic.irq(6).set(true);
    pic.acknowledge();
    pic.master.portOut(0, 1, EOI);
    pic.elcr.portOut(0, 1, 0x40);
    expect(pic.acknowledge()).toBe(0x26);
  });
});

describe('initialization', () => {
  test('ICW1 clears mask, service and latched edges, and INTR is low until the sequence is complete', () => {
    pulse(1);
    pic.acknowledge();
    pulse(3);
    pic.master.portOut(1, 1, 0x55);
    pic.master.portOut(0, 1, 0x11);
    pulse(4);
    expect(pic.intr).toBe(false);
    pic.master.portOut(1, 1, 0x40);
    pic.master.portOut(1, 1, 0x04);
    expect(pic.intr).toBe(false);
    pic.master.portOut(1, 1, 0x01);
    expect(pic.master.portIn(1, 1)).toBe(0);
    expect(pic.acknowledge()).toBe(0x44);
  });

  test('a single chip without ICW4 takes only ICW2', () => {
    pic.master.portOut(0, 1, 0x12);
    pic.master.portOut(1, 1, 0x70);
    pic.master.portOut(1, 1, 0xfe);
    expect(pic.master.portIn(1, 1)).toBe(0xfe);
    pulse(0);
    expect(pic.acknowledge()).toBe(0x70);
  });

  test('before any initialization the mask register can be written and read back, which is how Linux probes for a PIC', () => {
    const fresh = new Pic8259Pair();
    fresh.master.portOut(1, 1, 0xfb);
    expect(fresh.master.portIn(1, 1)).toBe(0xfb);
  });

  test('reset masks everything and forgets latched edges, but sees a level input that is still high', () => {
    pic.elcr.portOut(0, 1, 0x20);
    pic.irq(5).set(true);
    pulse(3);
    pic.reset();
    expect(pic.intr).toBe(false);
    expect(pic.master.portIn(1, 1)).toBe(0xff);
    expect(pic.elcr.portIn(0, 1)).toBe(0);
    pic.elcr.portOut(0, 1, 0x20);
    expect(masterIrr()).toBe(0x20);
  });
});

describe('end of interrupt and priority', () => {
  test('a specific EOI ends the level named, a non-specific one the highest in service', () => {
    pulse(4);
    pic.acknowledge();
    pulse(1);
    pic.acknowledge();
    expect(masterIsr()).toBe(0x12);
    pic.master.portOut(0, 1, 0x64);
    expect(masterIsr()).toBe(0x02);
    pic.master.portOut(0, 1, EOI);
    expect(masterIsr()).toBe(0);
  });

  test('rotate on non-specific EOI gives the level served the lowest priority', () => {
    pulse(3);
    pic.acknowledge();
    pic.master.portOut(0, 1, 0xa0);
    pulse(3);
    pulse(4);
    expect(pic.acknowledge()).toBe(0x24);
  });

  test('rotate on specific EOI and set priority name the lowest level', () => {
    pic.master.portOut(0, 1, 0xc5);
    pulse(5);
    pulse(6);
    pulse(0);
    expect(pic.acknowledge()).toBe(0x26);
    pic.master.portOut(0, 1, 0xe6);
    expect(masterIsr()).toBe(0);
    expect(pic.acknowledge()).toBe(0x20);
  });

  test('automatic EOI leaves nothing in service and rotates when told to', () => {
    init({ masterIcw4: 0x03 });
    pic.master.portOut(0, 1, 0x80);
    pulse(3);
    expect(pic.acknowledge()).toBe(0x23);
    expect(masterIsr()).toBe(0);
    pulse(3);
    pulse(4);
    expect(pic.acknowledge()).toBe(0x24);
    pic.master.portOut(0, 1, 0x00);
    expect(pic.acknowledge()).toBe(0x23);
    pulse(3);
    pulse(7);
    expect(pic.acknowledge()).toBe(0x27);
  });

  test('special mask mode lets lower levels interrupt a masked level in service, which EOI passes over', () => {
    pulse(3);
    pic.acknowledge();
    pic.master.portOut(1, 1, 0x08);
    pulse(5);
    expect(pic.intr).toBe(false);
    pic.master.portOut(0, 1, 0x68);
    expect(pic.acknowledge()).toBe(0x25);
    pic.master.portOut(0, 1, EOI);
    expect(masterIsr()).toBe(0x08);
    pic.master.portOut(0, 1, EOI);
    expect(masterIsr()).toBe(0x08);
    pic.master.portOut(0, 1, 0x48);
    pic.master.portOut(0, 1, EOI);
    expect(masterIsr()).toBe(0);
  });

  test('a slave interrupts itself only in special fully nested mode, and lower master levels stay blocked', () => {
    pulse(12);
    pic.acknowledge();
    pulse(9);
    expect(pic.intr).toBe(false);
    init({ masterIcw4: 0x11 });
    pulse(12);
    pic.acknowledge();
    pulse(3);
    expect(pic.intr).toBe(false);
    pulse(9);
    expect(pic.intr).toBe(true);
    expect(pic.acknowledge()).toBe(0x29);
  });

  test('the poll command makes the next read an acknowledge', () => {
    pulse(6);
    pic.master.portOut(0, 1, 0x0c);
    expect(pic.master.portIn(0, 1)).toBe(0x86);
    expect(masterIsr()).toBe(0x40);
    pic.master.portOut(0, 1, EOI);
    pic.master.portOut(0, 1, 0x0c);
    expect(pic.master.portIn(0, 1)).toBe(0);
    expect(pic.master.portIn(1, 1)).toBe(0);
  });
});

describe('robustness', () => {
  const input = fc.record({ n: fc.nat(15), level: fc.boolean() });
  const step = fc.oneof(portOps(fc, [2, 2, 2]), fc.array(input, { maxLength: 8 }), fc.constant('inta' as const));

  test('whatever a guest and the devices do, vectors are bytes, INTR is what onIntr said, and a saved state goes on the same', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.array(step, { maxLength: 10 }), (before, after) => {
        const play = (target: Pic8259Pair, steps: typeof before): number[] => {
          const seen: number[] = [];
          for (const s of steps) {
            if (s === 'inta') seen.push(target.acknowledge());
            else if (s.length > 0 && 'op' in s[0]!) {
              seen.push(...playPortOps([target.master, target.slave, target.elcr], s as never));
            } else for (const { n, level } of s as { n: number; level: boolean }[]) target.irq(n).set(level);
            seen.push(Number(target.intr));
          }
          return seen;
        };
        const one = new Pic8259Pair();
        let heard = false;
        one.onIntr((level) => {
          expect(level).not.toBe(heard);
          heard = level;
        });
        for (const value of play(one, before)) expect(value).toBeLessThanOrEqual(0xffff_ffff);
        expect(one.intr).toBe(heard);
        const other = new Pic8259Pair();
        other.restore(JSON.parse(JSON.stringify(one.save())) as PicState);
        expect(other.intr).toBe(one.intr);
        expect(other.save()).toEqual(one.save());
        expect(play(other, after)).toEqual(play(one, after));
      }),
    );
  });

  test('a state of another version is refused by name', () => {
    const state = { ...pic.save(), version: 2 } as unknown as PicState;
    expect(() => pic.restore(state)).toThrow(/8259A state has version 2/);
  });
});
