/** Operands of the test assembler: registers, memory, immediates, and the expressions in them. */
import { Register } from 'iced-x86';

/** Value of a name. */
export type Symbols = (name: string) => bigint;

/** `size`: bytes, where the source says so. */
export type Operand =
  | { readonly kind: 'register'; readonly register: Register; readonly size?: number }
  | { readonly kind: 'immediate'; readonly value: bigint; readonly size?: number }
  | { readonly kind: 'far'; readonly selector: number; readonly value: bigint; readonly size?: number }
  | {
      readonly kind: 'memory';
      readonly base: Register;
      readonly index: Register;
      readonly scale: number;
      readonly displacement: bigint;
      readonly segment: Register;
      readonly far: boolean;
      readonly size?: number;
    };

const REGISTERS = new Map<string, Register>();
for (const [name, value] of Object.entries(Register))
  if (typeof value === 'number' && value !== Register.None) REGISTERS.set(name.toLowerCase(), value);
for (let n = 8; n < 16; n++) REGISTERS.set(`r${n}b`, REGISTERS.get(`r${n}l`)!);

const SIZES: Readonly<Record<string, number>> = {
  byte: 1,
  word: 2,
  dword: 4,
  fword: 6,
  qword: 8,
  tword: 10,
  oword: 16,
};

export function splitOperands(text: string): string[] {
  if (!text.trim()) return [];
  return text.split(',').map((part) => part.trim());
}

/** Sums and differences of products of numbers and names. @throws Error on anything else. */
export function evaluate(text: string, symbols: Symbols): bigint {
  const tokens = text.match(/0x[0-9a-fA-F_]+|0b[01_]+|\d[\d_]*|[A-Za-z_$]\w*|[-+*()]|\S/g);
  if (!tokens) throw new Error(`empty expression: ${text}`);
  let at = 0;
  const primary = (): bigint => {
    const token = tokens[at++];
    if (token === '-') return -primary();
    if (token === '+') return primary();
    if (token === '(') {
      const value = sum();
      if (tokens[at++] !== ')') throw new Error(`expected ): ${text}`);
      return value;
    }
    if (token !== undefined && /^\d/.test(token)) return BigInt(token.replaceAll('_', ''));
    if (token !== undefined && /^[A-Za-z_]/.test(token)) return symbols(token);
    throw new Error(`bad expression: ${text}`);
  };
  const product = (): bigint => {
    let value = primary();
    while (tokens[at] === '*') {
      at++;
      value *= primary();
    }
    return value;
  };
  const sum = (): bigint => {
    let value = product();
    while (tokens[at] === '+' || tokens[at] === '-')
      value = tokens[at++] === '+' ? value + product() : value - product();
    return value;
  };
  const value = sum();
  if (at !== tokens.length) throw new Error(`bad expression: ${text}`);
  return value;
}

export function parseOperand(source: string, symbols: Symbols, bits: number): Operand {
  let text = source;
  let size: number | undefined;
  let far = false;
  for (
    let m = /^(byte|word|dword|fword|qword|tword|oword|far)\b\s*/.exec(text);
    m;
    m = /^(byte|word|dword|fword|qword|tword|oword|far)\b\s*/.exec(text)
  ) {
    if (m[1] === 'far') far = true;
    else size = SIZES[m[1]];
    text = text.slice(m[0].length);
  }
  const sized = size === undefined ? {} : { size };
  const register = REGISTERS.get(text);
  if (register !== undefined) return { kind: 'register', register, ...sized };
  if (text.startsWith('[')) {
    if (!text.endsWith(']')) throw new Error(`expected ]: ${source}`);
    return { ...parseMemory(text.slice(1, -1), symbols, bits), far, ...sized };
  }
  const colon = text.indexOf(':');
  if (colon > 0)
    return {
      kind: 'far',
      selector: Number(evaluate(text.slice(0, colon), symbols)),
      value: evaluate(text.slice(colon + 1), symbols),
      ...sized,
    };
  return { kind: 'immediate', value: evaluate(text, symbols), ...sized };
}

function parseMemory(inside: string, symbols: Symbols, bits: number) {
  let text = inside.trim();
  let segment = Register.None;
  const override = /^([c-gs]s)\s*:/.exec(text);
  if (override) {
    segment = REGISTERS.get(override[1])!;
    text = text.slice(override[0].length).trim();
  }
  const relative = /^rel\s+/.exec(text);
  if (relative) {
    if (bits !== 64) throw new Error(`rel outside 64-bit code: ${inside}`);
    const displacement = evaluate(text.slice(relative[0].length), symbols);
    return { kind: 'memory' as const, base: Register.RIP, index: Register.None, scale: 1, displacement, segment };
  }
  let base = Register.None;
  let index = Register.None;
  let scale = 1;
  let rest = '';
  for (const [, sign, term] of text.matchAll(/([-+]?)\s*([^-+]+)/g)) {
    const [name, factor] = term.split('*').map((part) => part.trim());
    const register = REGISTERS.get(name);
    if (register === undefined) rest += `${sign || '+'}${term}`;
    else if (sign === '-') throw new Error(`negative register: ${inside}`);
    else if (factor !== undefined || base !== Register.None) {
      if (index !== Register.None) throw new Error(`two indexes: ${inside}`);
      index = register;
      scale = factor === undefined ? 1 : Number(factor);
    } else base = register;
  }
  const displacement = rest ? evaluate(rest, symbols) : 0n;
  return { kind: 'memory' as const, base, index, scale, displacement, segment };
}
