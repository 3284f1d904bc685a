/**
 * The DSDT's definitions: what the fixed tables cannot say. The PCI root with its windows and interrupt routing, the
 * legacy devices behind the LPC bridge, and how to switch the machine off.
 */
import type { PciWindow } from '../../devices/pci/index.js';
import { ECAM_BUS_SIZE, linkOf } from '../../devices/pci/index.js';
import type { Aml } from './aml.js';
import * as A from './aml.js';
import * as R from './resources.js';

export interface IsaSerialPort {
  readonly base: number;
  readonly irq: number;
}

export interface DsdtOptions {
  /** Sleep type that means "off", for PM1a_CNT.SLP_TYP (3 bits). */
  readonly s5SleepType: number;
  readonly ecam: { readonly base: number; readonly buses: number };
  readonly memory32: readonly PciWindow[];
  readonly memory64: readonly PciWindow[];
  /** PCI device numbers that get routing entries: the ones in use keep the guest's work short. */
  readonly pciDevices: readonly number[];
  /** ISA interrupt of links A to D (8259s), and the IOAPIC pin of link A. */
  readonly linkIrqs: readonly number[];
  readonly linkGsi: number;
  readonly serialPorts: readonly IsaSerialPort[];
  /** ACPI register block, so that nobody else takes its ports. */
  readonly pm: { readonly base: number; readonly length: number };
}

/** The whole of the DSDT behind its header. */
export function dsdtBody(options: DsdtOptions): Aml {
  return A.concat(
    // Which interrupt controller the guest uses: 0 the 8259s, 1 the IOAPIC (ACPI 6.5, 5.8.1).
    A.name('PICF', A.integer(0)),
    A.method('_PIC', 1, A.store(A.arg(0), A.path('PICF'))),
    A.name('_S5', A.pkg(A.integer(options.s5SleepType), A.integer(0), A.integer(0), A.integer(0))),
    A.scope('_SB', motherboard(options), pciRoot(options)),
  );
}

/** Resources that belong to no device: nobody may put something else there (ACPI 6.5, 9.2: PNP0C02). */
function motherboard({ ecam, pm }: DsdtOptions): Aml {
  return A.device(
    'MBRD',
    A.name('_HID', A.eisaId('PNP0C02')),
    A.name('_CRS', R.resources(R.memory32(ecam.base, ecam.buses * ECAM_BUS_SIZE), R.io(pm.base, pm.length))),
  );
}

function pciRoot(options: DsdtOptions): Aml {
  const { ecam, memory32, memory64 } = options;
  return A.device(
    'PCI0',
    A.name('_HID', A.eisaId('PNP0A03')),
    A.name('_UID', A.integer(0)),
    A.name('_BBN', A.integer(0)),
    A.name(
      '_CRS',
      R.resources(
        R.busWindow(0, ecam.buses),
        R.io(0xcf8, 8),
        R.ioWindow(0, 0xcf8),
        R.ioWindow(0xd00, 0xf300),
        ...memory32.map(({ base, length }) => R.memoryWindow32(base, length)),
        ...memory64.map(({ base, length }) => R.memoryWindow64(base, length)),
      ),
    ),
    A.name(
      'PRTP',
      routing(options, (link) => options.linkIrqs[link]),
    ),
    A.name(
      'PRTA',
      routing(options, (link) => options.linkGsi + link),
    ),
    A.method('_PRT', 0, A.when(A.path('PICF'), A.ret(A.path('PRTA'))), A.ret(A.path('PRTP'))),
    lpc(options),
  );
}

/** _PRT (ACPI 6.5, 6.2.13): device and pin to a fixed interrupt. */
function routing({ pciDevices }: DsdtOptions, interrupt: (link: number) => number): Aml {
  const entries: Aml[] = [];
  for (const device of pciDevices) {
    for (let pin = 0; pin < 4; pin++) {
      const gsi = interrupt(linkOf(device, pin + 1));
      entries.push(A.pkg(A.integer(device * 0x1_0000 + 0xffff), A.integer(pin), A.integer(0), A.integer(gsi)));
    }
  }
  return A.pkg(...entries);
}

function lpc({ serialPorts }: DsdtOptions): Aml {
  const isa = (object: string, id: string, ...crs: Uint8Array[]): Aml =>
    A.device(object, A.name('_HID', A.eisaId(id)), A.name('_CRS', R.resources(...crs)));
  return A.device(
    'LPC',
    A.name('_ADR', A.integer(0x001f_0000)),
    isa('PIC', 'PNP0000', R.io(0x20, 2), R.io(0xa0, 2), R.io(0x4d0, 2), R.irq(2)),
    isa('TIMR', 'PNP0100', R.io(0x40, 4), R.irq(0)),
    isa('SPKR', 'PNP0800', R.io(0x61, 1)),
    isa('RTC', 'PNP0B00', R.io(0x70, 2), R.irq(8)),
    isa('PS2K', 'PNP0303', R.io(0x60, 1), R.io(0x64, 1), R.irq(1)),
    isa('PS2M', 'PNP0F13', R.irq(12)),
    ...serialPorts.map(({ base, irq }, i) =>
      A.device(
        `COM${i + 1}`,
        A.name('_HID', A.eisaId('PNP0501')),
        A.name('_UID', A.integer(i + 1)),
        A.name('_CRS', R.resources(R.io(base, 8), R.irq(irq))),
      ),
    ),
  );
}
