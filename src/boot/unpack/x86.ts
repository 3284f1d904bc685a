// The x86 branch filter of .xz, undone in place.

/** By the last three bytes' marks: whether an address may still begin here, and how many bytes back the nearest mark is. */
const ALLOWED: u32 = 0b0001_0111;
const BYTE_BACK: u32 = 0x3333_2210;

/**
 * The operands of CALL (E8) and JMP (E9) in memory[start, start + length) were made absolute, so that equal targets compress.
 * Only operands whose top byte is 00 or FF were converted; the mask remembers recent opcodes inside operands.
 */
export function unfilterX86(start: u32, length: u32): void {
  if (length < 5) return;
  const end = start + length - 4;
  let mask: u32 = 0;
  let previous = start - 5;
  for (let i = start; i < end; i++) {
    if ((load<u8>(i) & 0xfe) != 0xe8) continue;
    const distance = i - previous;
    previous = i;
    mask = distance > 3 ? 0 : (mask << (distance - 1)) & 7;
    const top: u32 = load<u8>(i, 4);
    const back = (BYTE_BACK >>> (mask << 2)) & 15;
    const hidden = mask != 0 && (!((ALLOWED >>> mask) & 1) || isSign(load<u8>(i + 4 - back)));
    if (hidden || !isSign(top)) {
      mask = (mask << 1) | 1;
      continue;
    }
    let source = load<u32>(i, 1);
    let target: u32 = 0;
    for (;;) {
      target = source - (i - start + 5);
      if (mask == 0) break;
      const shift = back << 3;
      if (!isSign((target >>> (24 - shift)) & 0xff)) break;
      source = target ^ ((1 << (32 - shift)) - 1);
    }
    store<u32>(i, (target & 0x00ff_ffff) | ((target & 0x0100_0000) == 0 ? 0 : 0xff00_0000), 1);
    i += 4;
    mask = 0;
  }
}

function isSign(byte: u32): bool {
  return byte == 0 || byte == 0xff;
}
