import { Mnemonic } from 'iced-x86';
import { beforeAll, describe, expect, test } from 'vitest';
import { DecodeHarness, MODES } from '../core/decode-harness.js';
import { type Bits, compare, decodeByIced, isOffered, TEST_PAGE } from '../core/decode-oracle.js';
import { INSTRUCTIONS } from './index.js';

/** Instructions of the offered features that are left out on purpose: iced's mnemonic and why. */
const OMISSIONS: ReadonlyMap<string, string> = new Map([
  ['Ud0', 'raises #UD, as whatever is undefined does'],
  ['Ud1', 'the same'],
  ['Ud2', 'the same'],
  ['Monitor', 'CPUID.1:ECX.MONITOR is clear'],
  ['Mwait', 'the same'],
  ['Xsavec', 'CPUID.(D,1):EAX has XSAVEOPT only'],
  ['Xsavec64', 'the same'],
  ['Xsaves', 'the same'],
  ['Xsaves64', 'the same'],
  ['Xrstors', 'the same'],
  ['Xrstors64', 'the same'],
]);

const LEGACY_PREFIXES = [[], [0x66], [0xf3], [0xf2]];
const LEGACY_MAPS = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
/** Opcodes whose ModRM.rm tells register forms apart, by number of map bytes. */
const FINE = new Set(['d8', 'd9', 'da', 'db', 'dc', 'dd', 'de', 'df', '0f00', '0f01', '0f18', '0f1e', '0fae', '0fc7']);
/** Prefixes, escapes and REX: no opcodes of their own. */
const NOT_OPCODES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
// Displacement, immediate and whatever else follows.
const TAIL = [0x12, 0x34, 0x56, 0x08, 0x9a, 0xbc, 0xde, 0x00, 0x21, 0x43, 0x65, 0x07];

/** ModRM bytes worth trying: [reg, memory], and [reg, register 1] or all registers. */
function modrmBytes(fine: boolean): number[] {
  const bytes: number[] = [];
  for (let reg = 0; reg < 8; reg++) {
    bytes.push(reg * 8, reg * 8 + 0x46);
    for (let rm = 0; rm < 8; rm++) if (fine || rm === 1) bytes.push(0xc0 + reg * 8 + rm);
  }
  return bytes;
}

function* legacyForms(bits: Bits): Generator<Uint8Array> {
  const rexes = bits === 64 ? [[], [0x48], [0x45]] : [[]];
  for (const prefix of LEGACY_PREFIXES)
    for (const rex of rexes)
      for (const [map, bytes] of LEGACY_MAPS.entries())
        for (let opcode = 0; opcode < 256; opcode++) {
          if (map === 0 && (NOT_OPCODES.has(opcode) || opcode === 0x0f || (bits === 64 && (opcode & 0xf0) === 0x40)))
            continue;
          if (map === 1 && (opcode === 0x38 || opcode === 0x3a)) continue;
          const name = [...bytes, opcode].map((b) => b.toString(16).padStart(2, '0')).join('');
          for (const modrm of modrmBytes(FINE.has(name)))
            yield Uint8Array.of(...prefix, ...rex, ...bytes, opcode, modrm, ...TAIL);
        }
}

function* vexForms(bits: Bits): Generator<Uint8Array> {
  for (let map = 1; map <= 3; map++)
    for (const second of [0x00, 0x80, 0x04])
      for (let pp = 0; pp < 4; pp++)
        for (const vvvv of [0x78, 0x60])
          for (let opcode = 0; opcode < 256; opcode++)
            for (const modrm of modrmBytes(false))
              if (bits === 64 || modrm >= 0xc0 || modrm < 8)
                yield Uint8Array.of(0xc4, 0xe0 | map, second | vvvv | pp, opcode, modrm, ...TAIL);
}

let decoder: DecodeHarness;
beforeAll(async () => {
  decoder = await DecodeHarness.create(INSTRUCTIONS);
});

function check(forms: Iterable<Uint8Array>, bits: Bits): { missing: string[]; wrong: string[] } {
  const missing = new Map<string, string>();
  const wrong = new Map<string, string>();
  for (const bytes of forms) {
    const decoded = decoder.decodeRaw(bytes, MODES[bits], 0x100, TEST_PAGE)!.instructions[0];
    const theirs = decodeByIced(bytes, bits);
    const mnemonic = Mnemonic[theirs.mnemonic];
    const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');
    if (!decoded.spec && !theirs.isInvalid) {
      if (isOffered(theirs) && !OMISSIONS.has(mnemonic)) missing.set(mnemonic, `${mnemonic}: ${hex}: ${theirs}`);
    } else {
      const problem = compare(decoded, theirs, bits);
      if (problem) wrong.set(problem.replace(/\d{3,}/g, '#'), `${hex}: ${theirs}: ${problem}`);
    }
    theirs.free();
  }
  return { missing: [...missing.values()], wrong: [...wrong.values()] };
}

describe.each([16, 32, 64] as const)('the instruction set in %i-bit mode', (bits) => {
  let legacy: ReturnType<typeof check>;
  let vex: ReturnType<typeof check>;
  beforeAll(() => {
    legacy = check(legacyForms(bits), bits);
    vex = check(vexForms(bits), bits);
  });

  test('decodes every instruction that it has as iced does', () => {
    expect([...legacy.wrong, ...vex.wrong]).toEqual([]);
  });

  test('has every instruction of the features that the machine offers', () => {
    expect([...legacy.missing, ...vex.missing].sort()).toEqual([]);
  });
});
