/**
 * The VEX forms of the SSE instructions, made from the SSE definitions: the same semantics for each half of 16 bytes, with
 * the first source apart from the destination (SDM vol. 2, the VEX lines of each instruction's page).
 */
import type { Emitter } from '../emit/emitter.js';
import { HalfEmitter, type Stand } from '../emit/half-emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i64x2, shuffle, zero } from '../wasm/simd.js';
import { crypto } from './crypto.js';
import { type Encoding, type Instruction, InstructionList } from './define.js';
import { sseFloat } from './sse-float.js';
import { sseInteger } from './sse-integer.js';
import { sseMove } from './sse-move.js';
import { sse4 } from './sse4.js';
import { stringCompare } from './string-compare.js';
import { readHalves } from './vex.js';

export const vexSse = new InstructionList();

/** What has no VEX form, or one that is written down by itself in avx.ts. */
const APART = new RegExp(
  [
    '^sha',
    '^movnti$',
    '^(movaps|movups)$',
    '^cmp[ps][sd]$', // 32 predicates
    '^p?blendv', // the mask is an operand
    '^ptest$', // flags of both halves
    '^p?movmsk',
  ].join('|'),
);

/** Forms without a first source of their own: V and W as in SSE. */
const TWO_OPERANDS = new RegExp(
  [
    '^mov(d|q|s[hl]dup|ddup)$',
    '^pabs',
    '^pmov[sz]x',
    '^pshuf([dw]|lw|hw)$',
    '^(sqrt|rcp|rsqrt|round)p[sd]$',
    '^u?comis',
    '^cvt(dq|ps|tps|pd|tpd)2',
    '^cvtt?s[sd]2si$',
    '^p?extr',
    '^extractps$',
    '^phminposuw$',
    '^pcmp[ei]str',
    '^aesimc$',
    '^aeskeygenassist$',
    '^maskmovdqu$',
  ].join('|'),
);

/** Forms that exist with 128 bits only. */
const SHORT = new RegExp(
  [
    '^mov(d|q|[hl]ps|hlps|lhps)$',
    '^(insert|extract)ps$',
    '^p(insr|extr)',
    '^phminposuw$',
    '^pcmp[ei]str',
    '^aes',
    '^pclmulqdq$',
    '^maskmovdqu$',
    '^dppd$',
  ].join('|'),
);

/** The immediate's bits for the upper half lie so much higher. */
const IMMEDIATE_STEP: Readonly<Record<string, number>> = { blendps: 4, blendpd: 2, shufpd: 2, mpsadbw: 3 };

/** Two halves to the double, or from it: the upper half of the result comes from the source's next bytes, or there is none. */
const WIDENS = /^(pmov[sz]x|cvtps2pd$|cvtdq2pd$)/;
const NARROWS = /^cvt(pd2ps|t?pd2dq)$/;
/** PSLLW and its like by a vector: one count of 16 bytes for both halves. */
const BY_COUNT = /^ps(ll|rl|ra)[wdq]$/;

const BYTES: Readonly<Record<string, number>> = { x: 16, dq: 16, q: 8, d: 4, w: 2, b: 1 };
const TWICE: Readonly<Record<string, string>> = { q: 'dq', d: 'q', w: 'd' };

interface Form {
  readonly sse: Instruction;
  /** The first source is an operand: the second one. */
  readonly three: boolean;
  readonly halves: 1 | 2;
  /** Sizes of the SSE form's operands, in bytes; undefined: as the VEX form's. */
  readonly sizes: readonly (number | undefined)[];
}

/** A source of a half: where its values come from, by half. */
type Source = (half: number) => Stand;

/** A vector without its lowest bytes. */
const above = (v: Expr, bytes: number): Expr =>
  shuffle(
    v,
    zero,
    Array.from({ length: 16 }, (_, i) => i + bytes),
  );

/** A register's halves, read where they are asked for. */
function register(e: Emitter, operand: Operand): Source {
  return (half) => () => (half ? e.upper(operand) : e.vector(operand));
}

/** A register as a source. `bytes`: what one half takes of it where the result is wider. */
function registerSource(e: Emitter, { name }: Instruction, operand: Operand, bytes: number): Source {
  const halves = register(e, operand);
  if (BY_COUNT.test(name)) return () => halves(0);
  return WIDENS.test(name) ? (half) => (half ? () => above(e.vector(operand), bytes) : halves(0)) : halves;
}

/** A memory operand, read now. */
function memory(e: Emitter, { name }: Instruction, operand: Operand, halves: number, bytes: number): Source {
  if (halves === 1 && sizeOf(operand) < 16) {
    const v = e.read(operand);
    return () => () => v;
  }
  const [low, high] = readHalves(e, operand);
  return (half) => {
    if (half === 0 || BY_COUNT.test(name)) return () => low;
    return () => (WIDENS.test(name) ? above(low, bytes) : high);
  };
}

function semantics(form: Form) {
  return (e: Emitter, ...operands: Operand[]): void => {
    const { sse, three, sizes } = form;
    e.requireAvx();
    const [dst, first] = operands;
    const sources = operands.slice(three ? 2 : 1);
    const step = IMMEDIATE_STEP[sse.name] ?? 0;
    // The SSE form's operands: what it reads and writes is a stand-in wherever it is a vector.
    const inner = [dst, ...sources].map((o, i): Operand => {
      const size = sizes[i];
      return (o.kind === 'xmm' || o.kind === 'mem') && size !== undefined ? { ...o, size } : { ...o };
    });
    const values = sources.map((o, i) => {
      const bytes = sizes[i + 1] ?? 16;
      if (o.kind === 'mem') return memory(e, sse, o, form.halves, bytes);
      return o.kind === 'xmm' ? registerSource(e, sse, o, bytes) : undefined;
    });
    const old = dst.kind === 'xmm' ? register(e, three ? first : dst) : undefined;
    const results: Expr[] = [];
    let raised = false;
    for (let half = 0; half < form.halves; half++) {
      const stands = new Map<Operand, Stand>();
      if (old) stands.set(inner[0], old(half));
      sources.forEach((o, i) => {
        const value = values[i]?.(half);
        if (value) stands.set(inner[i + 1], value);
        else if (o.kind === 'imm' && half && step) stands.set(inner[i + 1], () => w.shrU(e.read(o), w.i32c(step)));
      });
      const one = new HalfEmitter(e, stands, inner[0], form.halves === 2);
      sse.semantics(one, ...inner);
      if (one.result) results.push(one.result);
      raised ||= one.raised;
    }
    if (raised) e.commitFloat();
    if (/^pcmp[ei]strm/.test(sse.name)) e.clearHalf(0, 'upper');
    if (results.length === 0) return;
    const narrow = NARROWS.test(sse.name) && form.halves === 2;
    e.setVector(dst, narrow ? i64x2.replace(results[0], 1, i64x2.extract(results[1], 0)) : results[0]);
    e.setUpper(dst, narrow ? zero : (results[1] ?? zero));
  };
}

// ---- encodings ---------------------------------------------------------------------------------------------------------

/** `66 0F 38 1C /r` to [`66.0F38`, `1C /r`, W]. */
function splitPattern(text: string): { code: string; tail: string; rexW: string } {
  const tokens = text.split(' ');
  const prefix = tokens.shift()!;
  tokens.shift(); // 0F
  const map = tokens[0] === '38' || tokens[0] === '3A' ? `0F${tokens.shift()}` : '0F';
  const rexW = tokens.find((t) => t === 'W0' || t === 'W1') ?? 'WIG';
  // W counts in 64-bit mode only: there is a REX of its own there.
  if (rexW === 'W1' && !tokens.includes('i64')) tokens.push('only64');
  return { code: `${prefix}.${map}`, tail: tokens.filter((t) => t !== rexW).join(' '), rexW };
}

/** MOVSS and MOVSD stores: only the register form has a first source. */
function storeForms([pattern, operands]: Encoding): Encoding[] {
  const match = /^W([dq]),(V[dq])$/.exec(operands);
  if (!match || !/0F 11/.test(pattern)) return [[pattern, operands]];
  return [
    [pattern, `U${match[1]},${match[2]}`],
    [pattern, `M${match[1]},${match[2]}`],
  ];
}

/** The VEX encodings of one SSE encoding, each with the form that it is of. */
function* derive(sse: Instruction, [pattern, letters]: Encoding): Generator<[Form, Encoding]> {
  const operands = letters.split(',');
  const { code, tail, rexW } = splitPattern(pattern);
  const letterOf = (o: string) => /^[VWUM]([a-z]+)$/.exec(o)?.[1];
  const sizes = operands.map((o) => BYTES[letterOf(o) ?? '']);
  const loads = /^movs[sd]$/.test(sse.name) && operands[1].startsWith('M');
  const three = !operands[0].startsWith('M') && !loads && !TWO_OPERANDS.test(sse.name);
  const byImmediate = operands[0].startsWith('U') && operands[1] === 'Ib';
  const packed = operands.some((o) => /^[VWU]x$/.test(o)) && !loads && !SHORT.test(sse.name);
  const form = (length: string, halves: 1 | 2, list: readonly string[]): [Form, Encoding] => {
    const first = byImmediate ? ['Hx', list[0]] : [list[0], `H${letterOf(list[0])}`];
    const text = three ? [...first, ...list.slice(1)] : list;
    return [{ sse, three, halves, sizes }, [`VEX.${length}.${code}.${rexW} ${tail}`, text.join()]];
  };
  const list = operands.map((o) => (o === 'Wx' && BY_COUNT.test(sse.name) ? 'Wdq' : o));
  yield form(packed || SHORT.test(sse.name) ? '128' : 'LIG', 1, list);
  if (rexW === 'W0') yield* derive(sse, [`${pattern.replace('W0', 'W1')} i64`, letters]);
  if (!packed) return;
  const wide = list.map((o) => {
    if (WIDENS.test(sse.name) && o.startsWith('W')) return `W${TWICE[letterOf(o)!]}`;
    if (NARROWS.test(sse.name) && o.startsWith('V')) return 'Vdq';
    return sse.name === 'movddup' && o === 'Wq' ? 'Wx' : o;
  });
  yield form('256', 2, wide);
}

for (const [list, wideFeature] of [
  [sseMove, 'avx'],
  [sseInteger, 'avx2'],
  [sseFloat, 'avx'],
  [sse4, 'avx2'],
  [stringCompare, 'avx'],
  [crypto, 'avx'],
] as const)
  for (const sse of list.instructions) {
    if (APART.test(sse.name)) continue;
    // Encodings of one form are one instruction, as in SSE.
    const forms = new Map<string, { form: Form; encodings: Encoding[] }>();
    for (const encoding of sse.encodings) {
      if (/[PQN][qd]/.test(encoding[1]) || !/[VWU][xqdwb]/.test(encoding[1])) continue;
      for (const one of storeForms(encoding))
        for (const [form, vex] of derive(sse, one)) {
          const key = `${form.three} ${form.halves} ${form.sizes}`;
          const known = forms.get(key);
          if (known) known.encodings.push(vex);
          else forms.set(key, { form, encodings: [vex] });
        }
    }
    for (const { form, encodings } of forms.values())
      vexSse.op(
        `v${sse.name}`,
        encodings,
        { ...sse.attributes, feature: form.halves === 2 ? wideFeature : 'avx' },
        semantics(form),
      );
  }
