import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FOUR_GIB, PCI_HOLE_START } from '../engine/contract.js';
import { BIOS_AREA_BASE, E820_ACPI, E820_NVS, E820_RAM, E820_RESERVED, ECAM_BASE, layoutMemory } from './memory-map.js';

const MIB = 0x10_0000;

describe('memory layout', () => {
  it('reports conventional memory, the reserved areas, ACPI at the top, and RAM above 4 GiB', () => {
    const { e820 } = layoutMemory([
      { gpa: 0, length: PCI_HOLE_START },
      { gpa: FOUR_GIB, length: 512 * MIB },
    ]);
    expect(e820.map(({ gpa, length, type }) => [gpa, gpa + length, type])).toEqual([
      [0, 0x9_fc00, E820_RAM],
      [0x9_fc00, 0xa_0000, E820_RESERVED],
      [0xe_0000, 0x10_0000, E820_RESERVED],
      [0x10_0000, 0xbfff_0000, E820_RAM],
      [0xbfff_0000, 0xbfff_f000, E820_ACPI],
      [0xbfff_f000, 0xc000_0000, E820_NVS],
      [ECAM_BASE, 0xf000_0000, E820_RESERVED],
      [FOUR_GIB, FOUR_GIB + 512 * MIB, E820_RAM],
    ]);
  });

  it('is ascending, without overlap and accounts for all RAM, whatever the size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6144 }), (mib) => {
        const size = mib * MIB;
        const low = Math.min(size, PCI_HOLE_START);
        const ram = [{ gpa: 0, length: low }];
        if (size > low) ram.push({ gpa: FOUR_GIB, length: size - low });
        const layout = layoutMemory(ram);
        let end = 0;
        let bytes = 0;
        for (const { gpa, length, type } of layout.e820) {
          expect(gpa).toBeGreaterThanOrEqual(end);
          expect(length).toBeGreaterThan(0);
          end = gpa + length;
          if (gpa !== ECAM_BASE) bytes += length;
          if (type !== E820_RESERVED) expect(end <= low || gpa >= FOUR_GIB).toBe(true);
        }
        expect(bytes).toBe(size - (BIOS_AREA_BASE - 0xa_0000));
        expect(layout.below4G + layout.above4G).toBe(size);
        expect(layout.facsGpa % 64).toBe(0);
      }),
    );
  });

  it('refuses RAM that is missing, too small or where devices are', () => {
    expect(() => layoutMemory([])).toThrow(RangeError);
    expect(() => layoutMemory([{ gpa: 0, length: MIB }])).toThrow(RangeError);
    expect(() => layoutMemory([{ gpa: 0, length: PCI_HOLE_START + MIB }])).toThrow(RangeError);
    expect(() =>
      layoutMemory([
        { gpa: 0, length: 8 * MIB },
        { gpa: 0xd000_0000, length: MIB },
      ]),
    ).toThrow(RangeError);
  });
});
