/**
 * What firmware does to a PCI bus before a kernel sees it: gives every BAR an address, tells every function its interrupt
 * and switches decoding on. Kernels can do it themselves, but most trust what they find.
 */
import type { PciBus } from './bus.js';
import { linkOf } from './bus.js';
import * as C from './config-space.js';
import type { Bar, PciFunction } from './function.js';

/** An address range to give out from, in bytes. */
export interface PciWindow {
  readonly base: number;
  readonly length: number;
}

export interface PciWindows {
  io: PciWindow;
  mem32: PciWindow;
  /** For 64-bit BARs that do not fit below. */
  mem64: PciWindow;
}

/** A window that gives out naturally aligned pieces from the bottom up. */
class Allocator {
  private next: number;
  private readonly end: number;

  constructor(window: PciWindow) {
    this.next = window.base;
    this.end = window.base + window.length;
  }

  take(size: number): number | undefined {
    const base = Math.ceil(this.next / size) * size;
    if (base + size > this.end) return undefined;
    this.next = base + size;
    return base;
  }
}

/**
 * Configures every function of the bus.
 * @param irqOfLink ISA interrupt of links A to D, for the interrupt line registers
 * @returns the BARs that found no room, by name; they stay without an address.
 */
export function configurePci(bus: PciBus, windows: PciWindows, irqOfLink: readonly number[]): string[] {
  const io = new Allocator(windows.io);
  const mem32 = new Allocator(windows.mem32);
  const mem64 = new Allocator(windows.mem64);
  const homeless: string[] = [];
  const wanted: { fn: PciFunction; bar: Bar }[] = bus.functions.flatMap((fn) =>
    fn.listBars().map((bar) => ({ fn, bar })),
  );
  // Large ones first: with natural alignment that leaves no holes.
  wanted.sort((a, b) => b.bar.size - a.bar.size);
  for (const { fn, bar } of wanted) {
    let base: number | undefined;
    // Pieces of 64 MiB and more would eat up the window below 4 GiB.
    if (bar.kind === 'io') base = io.take(Math.max(bar.size, 4));
    else if (bar.kind === 'mem64' && bar.size >= 0x400_0000) base = mem64.take(bar.size);
    else base = mem32.take(Math.max(bar.size, 0x1000)) ?? (bar.kind === 'mem64' ? mem64.take(bar.size) : undefined);
    if (base === undefined) homeless.push(`${fn.name} BAR ${bar.index}`);
    else fn.assignBar(bar.index, base);
  }
  for (const fn of bus.functions) {
    const pin = fn.config.bytes[C.PCI_INTERRUPT_PIN];
    if (pin !== 0) fn.configWrite(C.PCI_INTERRUPT_LINE, 1, irqOfLink[linkOf(fn.devfn >> 3, pin)] ?? 0xff);
    fn.configWrite(C.PCI_COMMAND, 2, fn.command | C.COMMAND_IO | C.COMMAND_MEMORY | C.COMMAND_BUS_MASTER);
  }
  return homeless;
}
