/**
 * The port bus and the MMIO bus: which device answers at which address. Nothing claims what is left, so a read there
 * floats to all ones and a write goes nowhere; somebody who wants to know (`--strict-io`, the log) is told.
 *
 * An access that straddles the border of two devices is split into bytes, each going where it belongs, as on a real bus.
 */
import type { MmioDevice, PortDevice } from '../devices/device.js';

export type BusKind = 'port' | 'mmio';

/** An access that no device claimed. `address` is a port or a gpa; `value` is what was written, or all ones. */
export interface UnhandledAccess {
  readonly bus: BusKind;
  readonly direction: 'in' | 'out';
  readonly address: number;
  readonly size: 1 | 2 | 4;
  readonly value: number;
}

export type UnhandledListener = (access: UnhandledAccess) => void;

/** What a device gets for its claim: the way to give it back. */
export interface Mapping {
  readonly name: string;
  readonly base: number;
  readonly length: number;
  /** Ends the claim; a second call does nothing. */
  unmap(): void;
}

/** Two devices want the same address. */
export class BusConflict extends Error {
  constructor(bus: BusKind, wanted: Range, holder: Range) {
    super(`${describe(bus, wanted)} overlaps ${describe(bus, holder)}.`);
    this.name = 'BusConflict';
  }
}

interface Range {
  readonly name: string;
  readonly base: number;
  readonly length: number;
}

function describe(bus: BusKind, range: Range): string {
  const last = range.base + range.length - 1;
  const place = bus === 'port' ? 'ports' : 'gpa';
  return `${range.name} at ${place} ${range.base.toString(16)}h-${last.toString(16)}h`;
}

const ONES = [0, 0xff, 0xffff, 0, 0xffff_ffff] as const;
const PORTS = 0x1_0000;

interface PortRange extends Range {
  readonly device: PortDevice;
}

export class PortBus {
  /** Port to index in `ranges`; 0 is nobody. */
  private readonly table = new Uint16Array(PORTS);
  private readonly ranges: (PortRange | undefined)[] = [undefined];
  private readonly unhandled: UnhandledListener;

  constructor(unhandled: UnhandledListener = () => {}) {
    this.unhandled = unhandled;
  }

  /**
   * Gives `length` ports from `base` to a device.
   * @throws BusConflict where one of them is taken, RangeError where they are no ports.
   */
  map(base: number, length: number, device: PortDevice, name: string): Mapping {
    if (!Number.isInteger(base) || !Number.isInteger(length) || base < 0 || length < 1 || base + length > PORTS) {
      throw new RangeError(`${name}: there are no ${length} ports at ${base.toString(16)}h.`);
    }
    for (let port = base; port < base + length; port++) {
      const holder = this.ranges[this.table[port]];
      if (holder !== undefined) throw new BusConflict('port', { name, base, length }, holder);
    }
    let index = this.ranges.indexOf(undefined, 1);
    if (index < 0) index = this.ranges.length;
    this.ranges[index] = { name, base, length, device };
    this.table.fill(index, base, base + length);
    let mapped = true;
    return {
      name,
      base,
      length,
      unmap: () => {
        if (!mapped) return;
        mapped = false;
        this.ranges[index] = undefined;
        this.table.fill(0, base, base + length);
      },
    };
  }

  /** As `map`, for a guest's wishes: undefined where it can't be. */
  tryMap(base: number, length: number, device: PortDevice, name: string): Mapping | undefined {
    try {
      return this.map(base, length, device, name);
    } catch (error) {
      if (error instanceof BusConflict || error instanceof RangeError) return undefined;
      throw error;
    }
  }

  in(port: number, size: 1 | 2 | 4): number {
    const index = this.table[port];
    const range = this.ranges[index];
    if (range !== undefined) {
      const offset = port - range.base;
      if (offset + size <= range.length) return range.device.portIn(offset, size);
    } else if (this.isFree(port, size)) {
      this.unhandled({ bus: 'port', direction: 'in', address: port, size, value: ONES[size] });
      return ONES[size];
    }
    let value = 0;
    for (let i = 0; i < size; i++) {
      // Beyond the last port nothing answers.
      const byte = port + i < PORTS ? this.in(port + i, 1) : 0xff;
      value |= byte << (8 * i);
    }
    return value >>> 0;
  }

  out(port: number, size: 1 | 2 | 4, value: number): void {
    const index = this.table[port];
    const range = this.ranges[index];
    if (range !== undefined) {
      const offset = port - range.base;
      if (offset + size <= range.length) {
        range.device.portOut(offset, size, value);
        return;
      }
    } else if (this.isFree(port, size)) {
      this.unhandled({ bus: 'port', direction: 'out', address: port, size, value });
      return;
    }
    for (let i = 0; i < size && port + i < PORTS; i++) this.out(port + i, 1, (value >>> (8 * i)) & 0xff);
  }

  /** Who claims what, ascending. */
  list(): Mapped[] {
    return this.ranges
      .filter((range) => range !== undefined)
      .map(({ name, base, length }) => ({ name, base, length }))
      .sort((a, b) => a.base - b.base);
  }

  private isFree(port: number, size: number): boolean {
    for (let i = 1; i < size; i++) if (port + i < PORTS && this.table[port + i] !== 0) return false;
    return true;
  }
}

/** One claim, for listing. */
export interface Mapped {
  readonly name: string;
  readonly base: number;
  readonly length: number;
}

interface MmioRange extends Range {
  readonly end: number;
  readonly device: MmioDevice;
}

export class MmioBus {
  /** Ascending by base, none overlapping. */
  private ranges: MmioRange[] = [];
  /** The range that answered last: drivers poll one device at a time. */
  private last: MmioRange | undefined;
  private readonly unhandled: UnhandledListener;
  private readonly limit: number;

  /** @param limit first gpa beyond the physical address space (default 2^40, the engine's MAXPHYADDR). */
  constructor(unhandled: UnhandledListener = () => {}, limit = 2 ** 40) {
    this.unhandled = unhandled;
    this.limit = limit;
  }

  /**
   * Gives `length` bytes from gpa `base` to a device.
   * @throws BusConflict where a part is taken, RangeError where it is no address.
   */
  map(base: number, length: number, device: MmioDevice, name: string): Mapping {
    const end = base + length;
    if (!Number.isSafeInteger(base) || !Number.isSafeInteger(length) || base < 0 || length < 1 || end > this.limit) {
      throw new RangeError(`${name}: there are no ${length} bytes at gpa ${base.toString(16)}h.`);
    }
    const at = this.firstEndingAfter(base);
    const next = this.ranges[at];
    if (next !== undefined && next.base < end) throw new BusConflict('mmio', { name, base, length }, next);
    const range: MmioRange = { name, base, length, end, device };
    this.ranges.splice(at, 0, range);
    return {
      name,
      base,
      length,
      unmap: () => {
        if (this.last === range) this.last = undefined;
        this.ranges = this.ranges.filter((other) => other !== range);
      },
    };
  }

  /** As `map`, for a guest's wishes: undefined where it can't be. */
  tryMap(base: number, length: number, device: MmioDevice, name: string): Mapping | undefined {
    try {
      return this.map(base, length, device, name);
    } catch (error) {
      if (error instanceof BusConflict || error instanceof RangeError) return undefined;
      throw error;
    }
  }

  read(gpa: number, size: 1 | 2 | 4): number {
    const range = this.find(gpa);
    if (range !== undefined) {
      if (gpa + size <= range.end) return range.device.mmioRead(gpa - range.base, size);
    } else if (this.isFree(gpa, size)) {
      this.unhandled({ bus: 'mmio', direction: 'in', address: gpa, size, value: ONES[size] });
      return ONES[size];
    }
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.read(gpa + i, 1) << (8 * i);
    return value >>> 0;
  }

  write(gpa: number, size: 1 | 2 | 4, value: number): void {
    const range = this.find(gpa);
    if (range !== undefined) {
      if (gpa + size <= range.end) {
        range.device.mmioWrite(gpa - range.base, size, value);
        return;
      }
    } else if (this.isFree(gpa, size)) {
      this.unhandled({ bus: 'mmio', direction: 'out', address: gpa, size, value });
      return;
    }
    for (let i = 0; i < size; i++) this.write(gpa + i, 1, (value >>> (8 * i)) & 0xff);
  }

  /** Who claims what, ascending. */
  list(): Mapped[] {
    return this.ranges.map(({ name, base, length }) => ({ name, base, length }));
  }

  private find(gpa: number): MmioRange | undefined {
    const last = this.last;
    if (last !== undefined && gpa >= last.base && gpa < last.end) return last;
    const range = this.ranges[this.firstEndingAfter(gpa)];
    if (range === undefined || gpa < range.base) return undefined;
    this.last = range;
    return range;
  }

  private isFree(gpa: number, size: number): boolean {
    const next = this.ranges[this.firstEndingAfter(gpa)];
    return next === undefined || next.base >= gpa + size;
  }

  /** Index of the first range whose end lies beyond `gpa`. */
  private firstEndingAfter(gpa: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle].end > gpa) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
