/**
 * The ACPI tables of fixed layout (ACPI 6.5, chapter 5). Each function gives the bytes of one table; `placeAcpi` decides
 * where they go and links them.
 */
import { concat } from './aml.js';

const OEM_ID = 'TYPEVS';
const OEM_TABLE_ID = 'TYPEVISR';
const CREATOR_ID = 'TPVS';

/** Bytes of the header that every table but RSDP and FACS begins with (5.2.6). */
const HEADER = 36;

function ascii(view: DataView, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
}

/** Sets the byte at `at` so that all of [start, end) add up to 0 (mod 256). */
function checksum(bytes: Uint8Array, at: number, start = 0, end = bytes.length): void {
  bytes[at] = 0;
  let sum = 0;
  for (let i = start; i < end; i++) sum += bytes[i];
  bytes[at] = -sum;
}

/** A table: header and body. */
export function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = concat(new Uint8Array(HEADER), body);
  const view = new DataView(bytes.buffer);
  ascii(view, 0, signature);
  view.setUint32(4, bytes.length, true);
  view.setUint8(8, revision);
  ascii(view, 10, OEM_ID);
  ascii(view, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  ascii(view, 28, CREATOR_ID);
  view.setUint32(32, 1, true);
  checksum(bytes, 9);
  return bytes;
}

/** Root System Description Pointer, revision 2 (5.2.5.3). */
export function rsdp(rsdtGpa: number, xsdtGpa: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  ascii(view, 0, 'RSD PTR ');
  ascii(view, 9, OEM_ID);
  bytes[15] = 2;
  view.setUint32(16, rsdtGpa, true);
  view.setUint32(20, bytes.length, true);
  view.setBigUint64(24, BigInt(xsdtGpa), true);
  checksum(bytes, 8, 0, 20);
  checksum(bytes, 32);
  return bytes;
}

export function rsdt(gpas: readonly number[]): Uint8Array {
  const body = new Uint8Array(gpas.length * 4);
  const view = new DataView(body.buffer);
  gpas.forEach((gpa, i) => {
    view.setUint32(i * 4, gpa, true);
  });
  return table('RSDT', 1, body);
}

export function xsdt(gpas: readonly number[]): Uint8Array {
  const body = new Uint8Array(gpas.length * 8);
  const view = new DataView(body.buffer);
  gpas.forEach((gpa, i) => {
    view.setBigUint64(i * 8, BigInt(gpa), true);
  });
  return table('XSDT', 1, body);
}

/** Firmware ACPI Control Structure (5.2.10): 64 bytes, aligned so, without header. */
export function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  ascii(view, 0, 'FACS');
  view.setUint32(4, 64, true);
  bytes[32] = 2;
  return bytes;
}

/** I/O ports of the ACPI registers; all in system I/O space. */
export interface PmPorts {
  /** PM1a event block: status and enable, 4 bytes. */
  readonly event: number;
  /** PM1a control block, 2 bytes. */
  readonly control: number;
  /** PM timer, 4 bytes. */
  readonly timer: number;
  /** Whether the timer counts 32 bits, not 24. */
  readonly timer32: boolean;
  /** General-purpose event block 0 (status half, then enable half) and its bytes; length 0 where there is none. */
  readonly gpe0: { readonly port: number; readonly length: number };
}

export interface FadtOptions {
  readonly facsGpa: number;
  readonly dsdtGpa: number;
  readonly pm: PmPorts;
  readonly sciIrq: number;
  readonly reset: { readonly port: number; readonly value: number };
  /** CMOS index of the century byte; 0 where there is none. */
  readonly century: number;
}

/** Flags of the FADT (table 5.10). */
const FADT_WBINVD = 1 << 0;
const FADT_PROC_C1 = 1 << 2;
/** Clear: a power button as a fixed feature. Set: no such sleep button. */
const FADT_SLP_BUTTON = 1 << 5;
/** The alarm of the RTC is no fixed wake-up event. */
const FADT_FIX_RTC = 1 << 6;
const FADT_TMR_VAL_EXT = 1 << 8;
const FADT_RESET_REG_SUP = 1 << 10;

/** IAPC_BOOT_ARCH (table 5.11). */
const BOOT_LEGACY_DEVICES = 1 << 0;
const BOOT_8042 = 1 << 1;
const BOOT_NO_VGA = 1 << 2;
const BOOT_NO_ASPM = 1 << 4;

const SYSTEM_IO = 1;
const FADT_LENGTH = 276;
/** Desktop; a server profile would make some guests choose other timers. */
const PROFILE_DESKTOP = 1;
/** Latencies above these mean "no C2, no C3" (table 5.9). */
const NO_C2 = 101;
const NO_C3 = 1001;

/** Fixed ACPI Description Table, revision 6 (5.2.9). SMI_CMD is 0: the machine is in ACPI mode from the start. */
export function fadt(options: FadtOptions): Uint8Array {
  const { pm } = options;
  const bytes = new Uint8Array(FADT_LENGTH - HEADER);
  const view = new DataView(bytes.buffer);
  const at = (offset: number): number => offset - HEADER;
  const generic = (offset: number, port: number, length: number, accessSize: number): void => {
    if (length === 0) return;
    bytes.set([SYSTEM_IO, length * 8, 0, accessSize], at(offset));
    view.setBigUint64(at(offset) + 4, BigInt(port), true);
  };
  view.setUint32(at(36), options.facsGpa, true);
  view.setUint32(at(40), options.dsdtGpa, true);
  view.setUint8(at(45), PROFILE_DESKTOP);
  view.setUint16(at(46), options.sciIrq, true);
  view.setUint32(at(56), pm.event, true);
  view.setUint32(at(64), pm.control, true);
  view.setUint32(at(76), pm.timer, true);
  view.setUint32(at(80), pm.gpe0.length > 0 ? pm.gpe0.port : 0, true);
  bytes.set([4, 2, 0, 4, pm.gpe0.length], at(88));
  view.setUint16(at(96), NO_C2, true);
  view.setUint16(at(98), NO_C3, true);
  view.setUint8(at(108), options.century);
  view.setUint16(at(109), BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA | BOOT_NO_ASPM, true);
  const timer = pm.timer32 ? FADT_TMR_VAL_EXT : 0;
  const flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | timer | FADT_RESET_REG_SUP;
  view.setUint32(at(112), flags, true);
  generic(116, options.reset.port, 1, 1);
  view.setUint8(at(128), options.reset.value);
  view.setUint8(at(131), 5); // minor version: 6.5
  view.setBigUint64(at(140), BigInt(options.dsdtGpa), true);
  generic(148, pm.event, 4, 2);
  generic(172, pm.control, 2, 2);
  generic(208, pm.timer, 4, 3);
  generic(220, pm.gpe0.port, pm.gpe0.length, 1);
  ascii(view, at(268), OEM_TABLE_ID);
  return table('FACP', 6, bytes);
}

export interface MadtOptions {
  readonly lapicBase: number;
  /** APIC IDs of the processors, the bootstrap processor's first. Above 254 they are x2APIC entries. */
  readonly apicIds: readonly number[];
  readonly ioapic: { readonly id: number; readonly base: number };
  /** Global interrupt of ISA interrupt 0. */
  readonly timerGsi: number;
  readonly sciIrq: number;
}

/** Multiple APIC Description Table, revision 5 (5.2.12). */
export function madt(options: MadtOptions): Uint8Array {
  const parts: Uint8Array[] = [];
  const head = new Uint8Array(8);
  const headView = new DataView(head.buffer);
  headView.setUint32(0, options.lapicBase, true);
  headView.setUint32(4, 1, true); // PCAT_COMPAT: there are 8259s too
  parts.push(head);
  options.apicIds.forEach((id, uid) => {
    if (id < 255) {
      parts.push(Uint8Array.of(0, 8, uid, id, 1, 0, 0, 0));
      return;
    }
    const entry = new Uint8Array(16);
    const view = new DataView(entry.buffer);
    entry.set([9, 16]);
    view.setUint32(4, id, true);
    view.setUint32(8, 1, true);
    view.setUint32(12, uid, true);
    parts.push(entry);
  });
  const ioapic = new Uint8Array(12);
  ioapic.set([1, 12, options.ioapic.id]);
  new DataView(ioapic.buffer).setUint32(4, options.ioapic.base, true);
  parts.push(ioapic);
  // Interrupt source overrides: the timer's other pin, edge as the bus has it; the SCI, active high and level.
  parts.push(Uint8Array.of(2, 10, 0, 0, options.timerGsi, 0, 0, 0, 0, 0));
  parts.push(Uint8Array.of(2, 10, 0, options.sciIrq, options.sciIrq, 0, 0, 0, 0x0d, 0));
  // NMI on LINT1 of all processors; the x2APIC form where some have no 8-bit number.
  parts.push(Uint8Array.of(4, 6, 0xff, 0, 0, 1));
  if (options.apicIds.some((id) => id >= 255)) {
    parts.push(Uint8Array.of(0x0a, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0));
  }
  return table('APIC', 5, concat(...parts));
}

/** MCFG (PCI Firmware Specification 3.0, 4.1.2): one ECAM window of segment 0. */
export function mcfg(base: number, buses: number): Uint8Array {
  const body = new Uint8Array(24);
  const view = new DataView(body.buffer);
  view.setBigUint64(8, BigInt(base), true);
  view.setUint8(19, buses - 1);
  return table('MCFG', 1, body);
}
