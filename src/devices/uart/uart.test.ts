import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeClock, playPortOps, portOps, RecordingIrqLine } from '../testing.js';
import { Uart16550, type UartState } from './uart.js';

let clock: FakeClock;
let irq: RecordingIrqLine;
let sent: number[];
let roomCalls: number;
let uart: Uart16550;

beforeEach(() => {
  clock = new FakeClock();
  irq = new RecordingIrqLine();
  sent = [];
  roomCalls = 0;
  uart = new Uart16550({
    clock,
    irq,
    backend: { transmit: (byte) => sent.push(byte), roomForInput: () => roomCalls++ },
  });
});

const inb = (offset: number) => uart.portIn(offset, 1);
const outb = (offset: number, value: number) => uart.portOut(offset, 1, value);
const text = (s: string) => new TextEncoder().encode(s);

const [RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const FCR = IIR;
const OUT2 = 0x08;
/** Four characters of ten bits at 115200 baud, in ns. */
const TIMEOUT = 347_223;
/** Longer than the silence between two FIFOs full. */
const GAP = 50_000;

/** 115200 baud, FIFOs on with the trigger level asked for, interrupts let through. */
function open(ier: number, fcr = 0xc1): void {
  outb(LCR, 0x83);
  outb(0, 1);
  outb(1, 0);
  outb(LCR, 0x03);
  outb(FCR, fcr);
  outb(MCR, OUT2 | 3);
  outb(IER, ier);
}

describe('registers', () => {
  test('the divisor latch hides behind DLAB, IER keeps four bits, SCR keeps all, MCR five', () => {
    outb(LCR, 0x80);
    outb(0, 0x34);
    outb(1, 0x12);
    expect([inb(0), inb(1)]).toEqual([0x34, 0x12]);
    outb(LCR, 0x03);
    outb(IER, 0xff);
    outb(SCR, 0x5a);
    outb(MCR, 0xff);
    expect([inb(IER), inb(SCR), inb(MCR), inb(LCR)]).toEqual([0x0f, 0x5a, 0x1f, 0x03]);
    expect(sent).toEqual([]);
  });

  test('IIR shows FIFOs only when enabled, and the 64-byte bit of a 16750 never', () => {
    expect(inb(IIR)).toBe(0x01);
    outb(LCR, 0x80);
    outb(FCR, 0x21);
    expect(inb(IIR)).toBe(0xc1);
    outb(FCR, 0);
    expect(inb(IIR)).toBe(0x01);
  });

  test('THR is always empty and a terminal is always there', () => {
    expect(inb(LSR)).toBe(0x60);
    expect(inb(MSR)).toBe(0xb0);
  });

  test('LSR and MSR cannot be written', () => {
    outb(LSR, 0xff);
    outb(MSR, 0xff);
    expect([inb(LSR), inb(MSR)]).toEqual([0x60, 0xb0]);
  });

  test('a 16-bit write to offset 0 is THR and IER', () => {
    uart.portOut(0, 2, 0x0241);
    expect(sent).toEqual([0x41]);
    expect(inb(IER)).toBe(2);
  });
});

describe('sending', () => {
  test('bytes reach the back end at once and in order', () => {
    for (const byte of text('boot')) outb(0, byte);
    expect(sent).toEqual([...text('boot')]);
  });

  test('enabling the THRE interrupt requests at once, and reading IIR takes the request back', () => {
    open(0x02);
    expect(irq.level).toBe(true);
    expect(inb(IIR)).toBe(0xc2);
    expect(irq.level).toBe(false);
    expect(inb(IIR)).toBe(0xc1);
  });

  test('enabling it a second time requests again, which Linux takes for the absence of a bug', () => {
    open(0x02);
    inb(IIR);
    outb(IER, 0);
    outb(IER, 0x02);
    expect(inb(IIR)).toBe(0xc2);
  });

  test('writing IER with ETBEI already set requests nothing', () => {
    open(0x02);
    inb(IIR);
    outb(IER, 0x03);
    expect(inb(IIR)).toBe(0xc1);
  });

  test('each byte written gives a new edge', () => {
    open(0x02);
    inb(IIR);
    const before = irq.edges;
    outb(0, 0x41);
    expect(irq.edges - before).toBe(1);
    outb(0, 0x42);
    expect(irq.edges - before).toBe(2);
    expect(inb(IIR)).toBe(0xc2);
  });

  test('without ETBEI, sending does not touch the line', () => {
    open(0x00);
    for (let i = 0; i < 100; i++) outb(0, i);
    expect(irq.history).toEqual([]);
  });

  test('disabling the THRE interrupt drops the line', () => {
    open(0x02);
    outb(IER, 0);
    expect(irq.level).toBe(false);
  });
});

describe('receiving', () => {
  test('bytes wait in order, LSR tells of them, and an empty RBR reads 0', () => {
    open(0);
    expect(uart.receive(text('ab'))).toBe(2);
    expect(inb(LSR)).toBe(0x61);
    expect([inb(RBR), inb(RBR)]).toEqual([...text('ab')]);
    expect(inb(LSR)).toBe(0x60);
    expect(inb(RBR)).toBe(0);
  });

  test.each([
    [0x01, 1],
    [0x41, 4],
    [0x81, 8],
    [0xc1, 14],
  ])('FCR %s interrupts from %s bytes on', (fcr, level) => {
    open(0x01, fcr);
    uart.receive(new Uint8Array(level - 1));
    expect(irq.level).toBe(false);
    uart.receive(new Uint8Array(1));
    expect(irq.level).toBe(true);
    expect(inb(IIR)).toBe(0xc4);
    inb(RBR);
    expect(irq.level).toBe(false);
  });

  test('fewer bytes than the trigger level interrupt after four character times without a read', () => {
    open(0x01);
    uart.receive(text('ls\n'));
    clock.advance(TIMEOUT - 1);
    expect(irq.level).toBe(false);
    clock.advance(1);
    expect(inb(IIR)).toBe(0xcc);
    expect(irq.level).toBe(true);
    inb(RBR);
    expect(irq.level).toBe(false);
    clock.advance(TIMEOUT);
    expect(irq.level).toBe(true);
    inb(RBR);
    inb(RBR);
    expect(irq.level).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test('a further byte starts the character timeout anew', () => {
    open(0x01);
    uart.receive(text('a'));
    clock.advance(TIMEOUT - 1);
    uart.receive(text('b'));
    clock.advance(TIMEOUT - 1);
    expect(irq.level).toBe(false);
    clock.advance(1);
    expect(irq.level).toBe(true);
  });

  test('a slow line has a bounded character timeout, divisor 0 included', () => {
    for (const divisor of [0, 0xffff]) {
      open(0x01);
      outb(LCR, 0x83);
      uart.portOut(0, 2, divisor);
      outb(LCR, 0x03);
      uart.receive(text('a'));
      clock.advance(50_000_000);
      expect(irq.level).toBe(true);
      inb(RBR);
    }
  });

  test('without FIFOs each byte interrupts', () => {
    open(0x01, 0x00);
    uart.receive(text('xy'));
    expect(inb(IIR)).toBe(0x04);
    expect(inb(RBR)).toBe(0x78);
    clock.advance(GAP);
    expect(inb(IIR)).toBe(0x04);
    expect(inb(RBR)).toBe(0x79);
    expect(irq.level).toBe(false);
  });

  test('input beyond the queue is refused by count, and the back end hears when there is room again', () => {
    open(0);
    const paste = new Uint8Array(10_000).map((_, i) => i & 0xff);
    let offered = uart.receive(paste);
    expect(offered).toBe(4096);
    expect(uart.inputRoom).toBe(16);
    const got: number[] = [];
    while ((inb(LSR) & 1) !== 0) {
      const calls = roomCalls;
      while ((inb(LSR) & 1) !== 0) got.push(inb(RBR));
      clock.advance(GAP);
      if (roomCalls > calls) offered += uart.receive(paste.subarray(offered));
    }
    expect(got).toEqual([...paste]);
    expect(roomCalls).toBeGreaterThan(0);
  });

  test('however much waits, a driver that reads until the FIFO is empty comes to an end, and is then interrupted again', () => {
    open(0x01);
    uart.receive(new Uint8Array(1000));
    const reads = () => {
      let count = 0;
      while ((inb(LSR) & 1) !== 0 && count < 1000) count += 1 + inb(RBR);
      return count;
    };
    expect(reads()).toBe(16);
    expect([inb(IIR), irq.level]).toEqual([0xc1, false]);
    clock.advance(GAP);
    expect([inb(IIR), irq.level]).toEqual([0xc4, true]);
    expect(reads()).toBe(16);
  });

  test('the back end hears of room also where the guest throws its input away unread', () => {
    open(0);
    uart.receive(new Uint8Array(5000));
    for (let i = 0; i < 5000 / 16; i++) outb(FCR, 0xc3);
    expect(roomCalls).toBe(1);
    expect(uart.inputRoom).toBe(4096);
  });

  test('clearing the receiver FIFO loses what is in it, not what waits outside', () => {
    open(0);
    uart.receive(new Uint8Array(20).map((_, i) => i));
    outb(FCR, 0xc3);
    expect(inb(RBR)).toBe(16);
  });

  test('the line is gated by OUT2', () => {
    open(0x01);
    outb(MCR, 0x03);
    uart.receive(new Uint8Array(14));
    expect(irq.level).toBe(false);
    expect(inb(IIR)).toBe(0xc4);
    outb(MCR, OUT2);
    expect(irq.level).toBe(true);
  });
});

describe('flow control', () => {
  test('once the guest has raised RTS, lowering it holds input back and raising it again lets it through', () => {
    open(0x01);
    uart.receive(text('a'));
    outb(MCR, OUT2);
    uart.receive(text('bcd'));
    expect([inb(RBR), inb(LSR) & 1]).toEqual([0x61, 0]);
    outb(MCR, OUT2 | 2);
    clock.advance(GAP);
    expect([inb(RBR), inb(RBR), inb(RBR)]).toEqual([0x62, 0x63, 0x64]);
  });

  test('a guest that never raises RTS gets its input all the same', () => {
    uart.receive(text('a'));
    expect(inb(RBR)).toBe(0x61);
  });
});

describe('loopback', () => {
  test('bytes come back instead of going out, and the modem outputs appear as inputs', () => {
    open(0);
    outb(MCR, 0x1f);
    outb(0, 0xae);
    expect(inb(RBR)).toBe(0xae);
    expect(sent).toEqual([]);
    expect(inb(MSR) & 0xf0).toBe(0xf0);
    // Linux's test for a UART: RTS and OUT2 only.
    outb(MCR, 0x1a);
    expect(inb(MSR) & 0xf0).toBe(0x90);
  });

  test('changes of the modem lines set the delta bits until MSR is read', () => {
    open(0x08);
    outb(MCR, 0x14);
    outb(MCR, 0x10);
    expect(inb(IIR)).toBe(0xc0);
    expect(inb(MSR)).toBe(0x0f);
    expect(inb(MSR)).toBe(0x00);
    expect(inb(IIR)).toBe(0xc1);
  });

  test('a seventeenth byte overruns, which LSR tells once and interrupts', () => {
    open(0x04);
    outb(MCR, 0x18);
    for (let i = 0; i < 17; i++) outb(0, i);
    expect(inb(IIR)).toBe(0xc6);
    expect(irq.level).toBe(false);
    expect(inb(LSR)).toBe(0x63);
    expect(inb(LSR)).toBe(0x61);
    const got = Array.from({ length: 16 }, () => inb(RBR));
    expect(got).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });

  test('input from the line waits until loopback ends', () => {
    open(0);
    outb(MCR, 0x10);
    uart.receive(text('z'));
    expect(inb(LSR) & 1).toBe(0);
    outb(MCR, 2);
    expect(inb(RBR)).toBe(0x7a);
  });
});

describe('robustness', () => {
  test('interrupt priority is line status, data, THRE, modem', () => {
    open(0x0f);
    outb(MCR, 0x18);
    for (let i = 0; i < 17; i++) outb(0, i);
    const seen = [inb(IIR)];
    inb(LSR);
    seen.push(inb(IIR));
    outb(FCR, 0xc3);
    seen.push(inb(IIR), inb(IIR));
    inb(MSR);
    seen.push(inb(IIR));
    expect(seen).toEqual([0xc6, 0xc4, 0xc2, 0xc0, 0xc1]);
  });

  test('whatever a guest does, reads are bytes, alarms stay two, and a saved state goes on the same', () => {
    const ops = portOps(fc, [8]);
    const input = fc.uint8Array({ maxLength: 5000 });
    fc.assert(
      fc.property(ops, input, ops, ops, (before, bytes, between, after) => {
        const make = (on: FakeClock) =>
          new Uart16550({ clock: on, irq: new RecordingIrqLine(), backend: { transmit: () => {} } });
        const clockA = new FakeClock();
        const a = make(clockA);
        playPortOps([a], before, clockA);
        const room = a.inputRoom;
        expect(a.receive(bytes)).toBe(Math.min(bytes.length, room));
        playPortOps([a], between, clockA);
        // The gap on the line, and the character timeout of what came over the loop meanwhile.
        expect(clockA.pending).toBeLessThanOrEqual(2);
        const clockB = new FakeClock(clockA.now());
        const b = make(clockB);
        b.restore(JSON.parse(JSON.stringify(a.save())) as UartState);
        expect(b.save()).toEqual(a.save());
        // A running character timeout starts anew in the copy, so time stands still from here.
        const still = after.filter((op) => op.op !== 'wait');
        expect(playPortOps([b], still)).toEqual(playPortOps([a], still));
        expect(b.save()).toEqual(a.save());
      }),
    );
  });

  test('a state of another version is refused by name', () => {
    expect(() => uart.restore({ ...uart.save(), version: 7 } as unknown as UartState)).toThrow(
      /16550A state has version 7/,
    );
  });
});
