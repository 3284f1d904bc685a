/** Who is meant: the destinations of interrupt messages (SDM vol. 3, 11.6.2 and 11.12.10). */
import { DEST_PHYSICAL } from './message.js';

/**
 * Whether a message reaches an APIC in xAPIC mode.
 * @param id its 8-bit ID
 * @param ldr logical destination register, the ID in bits 31:24
 * @param dfr destination format register, the model in bits 31:28
 */
export function reachesXapic(
  dest: number,
  destMode: number,
  wide: boolean,
  id: number,
  ldr: number,
  dfr: number,
): boolean {
  if (wide && dest === 0xffff_ffff) return true;
  if (dest > 0xff) return false;
  if (destMode === DEST_PHYSICAL) return dest === id || dest === 0xff;
  const mine = ldr >>> 24;
  switch (dfr >>> 28) {
    case 0xf: // flat: one bit an APIC
      return (dest & mine) !== 0;
    case 0: // clusters of four, cluster Fh being all
      return (dest >> 4 === mine >> 4 || dest >> 4 === 0xf) && (dest & mine & 0xf) !== 0;
    default: // reserved models match nothing
      return false;
  }
}

/**
 * Whether a message reaches an APIC in x2APIC mode, whose logical ID follows from its ID. An IOAPIC or MSI (not `wide`)
 * has 8 bits, so there physical FFh is broadcast: it has no other way to say it.
 */
export function reachesX2apic(dest: number, destMode: number, wide: boolean, id: number): boolean {
  if (wide && dest === 0xffff_ffff) return true;
  if (destMode === DEST_PHYSICAL) return dest === id || (!wide && dest === 0xff);
  return dest >>> 16 === id >>> 4 && ((dest >>> (id & 15)) & 1) !== 0;
}
