// PAE: the page-directory-pointer-table entries are registers, loaded when CR3 is (SDM vol. 3, 4.4.1).
import { physLoad64 } from './physical';
import { PDPTES } from './private';
import { validPdpte } from './walk';

/** Loads the four entries that `cr3` names; false (nothing changed) where reserved bits are set: #GP(0). */
export function loadPdptes(cr3: i64): bool {
  const table = cr3 & 0xffffffe0;
  for (let i: i64 = 0; i < 4; i++) {
    if (!validPdpte(physLoad64(table + (i << 3)))) return false;
  }
  for (let i: i64 = 0; i < 4; i++) store<i64>(PDPTES + ((<i32>i) << 3), physLoad64(table + (i << 3)));
  return true;
}
