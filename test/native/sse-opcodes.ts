/** Arithmetic of two operands that SSE has for ps, pd, ss and sd alike: name and opcode in map 0F. */
export const SSE_ARITHMETIC = [
  ['add', 0x58],
  ['mul', 0x59],
  ['sub', 0x5c],
  ['min', 0x5d],
  ['div', 0x5e],
  ['max', 0x5f],
] as const;
