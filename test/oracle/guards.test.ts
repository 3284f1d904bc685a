// Every x87, MMX and SSE instruction asks CR0.TS, and waits for x87 exceptions if it should (SDM vol. 3, 2.5 and 13.1): an
// instruction that forgets to would use another program's registers under an operating system that switches them lazily.

import { describe, expect, test } from 'vitest';
import { encode, formsOf } from './encodings.js';
import { EngineFrame } from './engine-frame.js';
import { LISTS } from './lists.js';
import { F_FLAGS, F_FX, F_VECTOR } from './native-frame.js';
import { Random } from './random.js';
import { isCompared } from './rules.js';

const PLACES = { slot: 0x4000_0800, dataAddress: 0x4001_0000, codeAddress: 0x4002_0000 };
const NM = 7;
const MF = 16;
/** FCW with the invalid operation unmasked, FSW with it pending. */
const UNMASKED = 0x340;
const INVALID = 1;
/** Control instructions that do not wait. */
const NO_WAIT = /^fn(clex|init|setpm|stsw|stcw|stenv|save)$/;
/** From memory these are no MMX instructions. */
const HALF_MMX = /^cvtpi2p[sd]$/;

const isVector = (file: string) => file === 'xmm' || file === 'mmx';

describe.each(['64', 'compiled'] as const)('with the engine in %s mode', (mode) => {
  /** Instructions that end with another vector than they should. */
  async function failures(files: (file: string) => boolean, vector: number): Promise<string[]> {
    const frame = await EngineFrame.create(mode, PLACES);
    frame.setTaskSwitched(vector === NM);
    const failed = new Set<string>();
    let count = 0;
    for (const [list, { instructions }] of LISTS) {
      for (const form of formsOf(instructions, 64)) {
        const { name } = form.instruction;
        const asks = list === 'x87' || name === 'emms' || form.operands.some((o) => files(o.file));
        if (!asks || !isCompared(name) || (vector === MF && NO_WAIT.test(name))) continue;
        // Operands in registers and in memory.
        for (let seed = 1; seed <= (mode === '64' ? 4 : 2); seed++) {
          const encoded = encode(form, 64, new Random(seed), PLACES.dataAddress + 0x1000, PLACES.slot);
          if (vector === MF && HALF_MMX.test(name) && encoded.memory) continue;
          for (let r = 0; r < 16; r++) frame.input.setBigUint64(r * 8, BigInt(PLACES.dataAddress + 0x2000), true);
          for (const [r, value] of encoded.bindings) frame.input.setBigUint64(r * 8, value, true);
          frame.input.setUint32(F_FLAGS, 2, true);
          frame.input.setUint16(F_FX, vector === MF ? UNMASKED : 0x37f, true);
          frame.input.setUint16(F_FX + 2, vector === MF ? INVALID : 0, true);
          frame.input.setUint32(F_FX + 24, 0x1f80, true);
          frame.run(encoded.bytes);
          if (frame.output.getInt32(F_VECTOR, true) !== vector)
            failed.add(`${form.text} ${encoded.memory ? 'from memory' : 'from registers'}`);
          count++;
        }
      }
    }
    expect(count).toBeGreaterThan(300);
    return [...failed];
  }

  test('every instruction of x87, MMX and SSE raises #NM where CR0.TS is set', async () => {
    expect(await failures(isVector, NM)).toEqual([]);
  }, 120_000);

  test('every instruction of x87 and MMX that should takes a pending x87 exception', async () => {
    expect(await failures((file) => file === 'mmx', MF)).toEqual([]);
  }, 120_000);
});
