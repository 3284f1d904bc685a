import { test, expect } from 'vitest';
import { DecodeHarness, MODES } from './decode-harness.js';
import { INSTRUCTIONS } from '../isa/index.js';
test('x', async () => {
  const h = await DecodeHarness.create(INSTRUCTIONS);
  console.log(h.handlers.length, h.tableBytes);
  console.log(h.decode(Uint8Array.of(0x48,0x8b,0x04,0x8d,1,0,0,0, 0x65,0x89,0x05,0,0,0,0, 0xeb, 0xfe), MODES[64]));
});
