/** Reads the encoding patterns and operand lists of define.ts into sets of decoder states that they accept. */

/** Mandatory prefix classes as bits of a set: none, 66, F3, F2. */
export const PREFIX_BITS = { NP: 1, '66': 2, F3: 4, F2: 8 } as const;

/** One encoding, parsed: each field of sets is a bit mask of accepted values. */
export interface Pattern {
  readonly text: string;
  /** Root table: 0 to 3 legacy (1-byte, 0F, 0F38, 0F3A), 4 to 6 VEX. */
  readonly map: number;
  readonly opcode: number;
  /** `+r`: stands for eight opcodes. */
  readonly plusR: boolean;
  /** Has a ModRM byte. */
  readonly modrm: boolean;
  /** Accepted prefix classes (PREFIX_BITS); 15: prefixes do not select. */
  readonly prefix: number;
  /** Accepted values of ModRM.reg, ModRM.rm (bits 0 to 7), mod == 3 (bit 0: memory, bit 1: register). */
  readonly reg: number;
  readonly rm: number;
  readonly mod3: number;
  /** Accepted effective operand sizes: bit 0 = 16, 1 = 32, 2 = 64; address sizes alike. */
  readonly size: number;
  readonly address: number;
  /** Whether the pattern names an operand size (o16 ... or W). */
  readonly sized: boolean;
  /** Accepted REX.W / VEX.W, VEX.L, and modes (bit 0: not 64-bit, bit 1: 64-bit). */
  readonly w: number;
  readonly l: number;
  readonly long: number;
  readonly vex: boolean;
  /** VEX.256. */
  readonly wide: boolean;
  /** Operand size in 64-bit mode: by prefixes, 64 by default, 64 always. */
  readonly default64: 'none' | 'd64' | 'f64';
}

const HEX = /^[0-9A-F]{2}$/;

function parseVex(text: string, token: string): { map: number; prefix: number; l: number; wide: boolean; w: number } {
  const [, length, prefix, map, w = 'WIG'] = token.split('.');
  const maps: Record<string, number> = { '0F': 4, '0F38': 5, '0F3A': 6 };
  const lengths: Record<string, number> = { '128': 1, '256': 2, LZ: 1, L0: 1, L1: 2, LIG: 3 };
  const ws: Record<string, number> = { W0: 1, W1: 2, WIG: 3 };
  const accepted = PREFIX_BITS[prefix as keyof typeof PREFIX_BITS];
  if (!(length in lengths) || accepted === undefined || !(map in maps) || !(w in ws))
    throw new Error(`encoding "${text}": bad VEX prefix "${token}"`);
  return { map: maps[map], prefix: accepted, l: lengths[length], wide: length === '256', w: ws[w] };
}

/** @throws Error naming the pattern where it doesn't follow define.ts. */
export function parsePattern(text: string): Pattern {
  const fail = (why: string): never => {
    throw new Error(`encoding "${text}": ${why}`);
  };
  const tokens = text.trim().split(/\s+/);
  let map = 0;
  let prefix = 15;
  let w = 3;
  let l = 3;
  let wide = false;
  let at = 0;
  const vex = tokens[0].startsWith('VEX.');
  if (vex) {
    ({ map, prefix, l, wide, w } = parseVex(text, tokens[0]));
    at = 1;
  } else if (tokens[0] in PREFIX_BITS && (tokens[0] === 'NP' || tokens.length > 1)) {
    prefix = PREFIX_BITS[tokens[0] as keyof typeof PREFIX_BITS];
    at = 1;
  }
  // REX.W is sometimes written before the opcode, as the SDM does it.
  const before: string[] = [];
  while (at < tokens.length && !/^[0-9A-F]{2}(\+r)?$/.test(tokens[at])) before.push(tokens[at++]);
  if (!vex && tokens[at] === '0F') {
    map = 1;
    at++;
    if (tokens[at] === '38' || tokens[at] === '3A') {
      map = tokens[at] === '38' ? 2 : 3;
      at++;
    }
  }
  const opcodeToken = tokens[at++] ?? '';
  const match = /^([0-9A-F]{2})(\+r)?$/.exec(opcodeToken);
  if (!match) return fail('no opcode');
  const opcode = Number.parseInt(match[1], 16);
  const plusR = match[2] !== undefined;
  if (plusR && opcode & 7) fail('+r needs an opcode divisible by 8');
  let modrm = false;
  let reg = 255;
  let rm = 255;
  let mod3 = 3;
  let size = 7;
  let address = 7;
  let long = 3;
  let sized = false;
  let default64: 'none' | 'd64' | 'f64' = 'none';
  for (const token of [...before, ...tokens.slice(at)]) {
    if (token === '/r') modrm = true;
    else if (/^\/[0-7]$/.test(token)) {
      modrm = true;
      reg = 1 << Number(token[1]);
    } else if (HEX.test(token) && Number.parseInt(token, 16) >= 0xc0) {
      // A whole ModRM byte, register form: 0F 01 C8.
      const byte = Number.parseInt(token, 16);
      modrm = true;
      mod3 = 2;
      reg = 1 << ((byte >> 3) & 7);
      rm = 1 << (byte & 7);
    } else if (token === 'mod3') mod3 &= 2;
    else if (token === 'mem') mod3 &= 1;
    else if (/^rm[0-7]$/.test(token)) rm = 1 << Number(token[2]);
    else if (token === 'o16' || token === 'o32' || token === 'o64') {
      size = token === 'o16' ? 1 : token === 'o32' ? 2 : 4;
      sized = true;
    } else if (token === 'a16' || token === 'a32' || token === 'a64')
      address = token === 'a16' ? 1 : token === 'a32' ? 2 : 4;
    else if (token === 'W0' || token === 'W1') {
      w = token === 'W0' ? 1 : 2;
      sized = true;
    } else if (token === 'i64') long = 1;
    else if (token === 'only64') long = 2;
    else if (token === 'd64' || token === 'f64') default64 = token;
    else fail(`unknown word "${token}"`);
  }
  if (!mod3) fail('both mod3 and mem');
  if (!modrm && (mod3 !== 3 || rm !== 255)) fail('mod3, mem and rmN need /r or /n');
  return {
    text,
    map,
    opcode,
    plusR,
    modrm,
    prefix,
    reg,
    rm,
    mod3,
    size,
    address,
    sized,
    w,
    l,
    long,
    vex,
    wide,
    default64,
  };
}

/** Effective operand size (0 to 2) of the size that prefixes alone say. */
export function effectiveSize(pattern: Pattern, long: number, raw: number): number {
  if (!long || pattern.default64 === 'none') return raw;
  if (pattern.default64 === 'f64') return 2;
  return raw === 0 ? 0 : 2;
}

/** An operand letter with its size letter, taken apart. */
export interface OperandPattern {
  readonly text: string;
  readonly kind:
    | 'rm'
    | 'reg'
    | 'vvvv'
    | 'opcode'
    | 'imm4'
    | 'mem'
    | 'imm'
    | 'rel'
    | 'far'
    | 'moffs'
    | 'fixed'
    | 'const';
  /** Register file of rm, reg, vvvv, opcode, imm4. */
  readonly file: 'gpr' | 'xmm' | 'mmx' | 'st' | 'seg' | 'cr' | 'dr';
  /** Size letters: b w d q v y z x qq dq t p s x512 '' bs. */
  readonly size: string;
  /** rm: accepted forms, as Pattern.mod3. */
  readonly forms: number;
  /** fixed: byte offset of the register from REGS; const: the value. */
  readonly value: number;
}

const FIXED: Record<string, [value: number, size: string]> = {
  AL: [0, 'b'],
  AX: [0, 'w'],
  EAX: [0, 'd'],
  RAX: [0, 'q'],
  rAX: [0, 'v'],
  eAX: [0, 'z'],
  CL: [8, 'b'],
  DX: [16, 'w'],
};

const LETTERS: Record<string, [OperandPattern['kind'], OperandPattern['file'], forms: number, sizes: RegExp]> = {
  E: ['rm', 'gpr', 3, /^[bwdqvyz]$/],
  R: ['rm', 'gpr', 2, /^[bwdqvyz]$/],
  M: ['mem', 'gpr', 1, /^([bwdqvyztpsx]|dq|qq|x512)?$/],
  G: ['reg', 'gpr', 3, /^[bwdqvyz]$/],
  B: ['vvvv', 'gpr', 3, /^[bwdqvyz]$/],
  Z: ['opcode', 'gpr', 3, /^[bwdqvyz]$/],
  V: ['reg', 'xmm', 3, /^([xqdwb]|dq|qq)$/],
  W: ['rm', 'xmm', 3, /^([xqdwb]|dq|qq)$/],
  U: ['rm', 'xmm', 2, /^([xqdwb]|dq|qq)$/],
  H: ['vvvv', 'xmm', 3, /^([xqdwb]|dq|qq)$/],
  L: ['imm4', 'xmm', 3, /^([xqdwb]|dq|qq)$/],
  P: ['reg', 'mmx', 3, /^[qdwb]$/],
  Q: ['rm', 'mmx', 3, /^[qdwb]$/],
  N: ['rm', 'mmx', 2, /^[qdwb]$/],
  O: ['moffs', 'gpr', 3, /^[bv]$/],
  J: ['rel', 'gpr', 3, /^[bz]$/],
  I: ['imm', 'gpr', 3, /^(b|bs|w|z|v|d)$/],
  S: ['reg', 'seg', 3, /^w$/],
  C: ['reg', 'cr', 3, /^d$/],
  D: ['reg', 'dr', 3, /^d$/],
};

/** @throws Error naming the operand where it isn't one of define.ts. */
export function parseOperands(text: string): OperandPattern[] {
  if (text.trim() === '') return [];
  return text.split(',').map((part) => {
    const name = part.trim();
    if (name === '1') return { text: name, kind: 'const', file: 'gpr', size: '', forms: 3, value: 1 };
    if (name in FIXED) {
      const [value, size] = FIXED[name];
      return { text: name, kind: 'fixed', file: 'gpr', size, forms: 3, value };
    }
    if (name === 'STi') return { text: name, kind: 'rm', file: 'st', size: '', forms: 2, value: 0 };
    if (name === 'Ap') return { text: name, kind: 'far', file: 'gpr', size: 'p', forms: 3, value: 0 };
    const letter = LETTERS[name[0]];
    const size = name.slice(1);
    if (!letter?.[3].test(size)) throw new Error(`operands "${text}": unknown operand "${name}"`);
    return { text: name, kind: letter[0], file: letter[1], size, forms: letter[2], value: 0 };
  });
}
