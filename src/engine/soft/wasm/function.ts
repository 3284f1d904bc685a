/** Builds one WebAssembly function: statements are written at once, expressions are trees handed in (ops.ts). */
import { ByteWriter } from './bytes.js';
import type { Signature } from './module.js';
import { type Expr, localGet, TYPE_CODE, type ValType, writeExpr } from './ops.js';

/** A place that `br` can go to: the end of a block, the start of a loop. */
export interface Label {
  readonly depth: number;
}

const OP = { block: 0x02, loop: 0x03, if: 0x04, else: 0x05, end: 0x0b, br: 0x0c, brIf: 0x0d, brTable: 0x0e } as const;
const RETURN = 0x0f;
const RETURN_CALL = 0x12;
const RETURN_CALL_INDIRECT = 0x13;
const DROP = 0x1a;
const LOCAL_SET = 0x21;
const VOID = 0x40;

/** Whether a condition is expected to hold: true or false; undefined: nobody knows. */
export type Hint = boolean | undefined;

/** A hint and where its branch stands in the function's body. */
export interface PlacedHint {
  readonly at: number;
  readonly likely: boolean;
}

export class FunctionBuilder {
  readonly signature: Signature;
  code = new ByteWriter();
  readonly #prologue = new ByteWriter();
  readonly #locals: ValType[];
  readonly #free: Record<ValType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  /** Scopes of temporaries: what was taken since the scope began goes back at its end. */
  readonly #scopes: { readonly type: ValType; readonly index: number }[][] = [];
  readonly #later: { readonly at: number; readonly body: () => void }[] = [];
  /** Branches whose way is known: WebAssembly engines that take hints keep the other way out of the registers' way. */
  readonly #hints: PlacedHint[] = [];
  #depth = 0;

  constructor(signature: Signature) {
    this.signature = signature;
    this.#locals = [...signature.params];
  }

  /** A new local that lives as long as the function. */
  local(type: ValType): number {
    return this.#locals.push(type) - 1;
  }

  /** Temporaries taken inside `body` are free for others afterwards. */
  scope(body: () => void): void {
    const taken: { type: ValType; index: number }[] = [];
    this.#scopes.push(taken);
    body();
    this.#scopes.pop();
    for (const { type, index } of taken) this.#free[type].push(index);
  }

  temp(type: ValType): number {
    const index = this.#free[type].pop() ?? this.local(type);
    this.#scopes.at(-1)?.push({ type, index });
    return index;
  }

  /** Evaluates once, here; the result may be used often. Constants and locals that nobody will change stay as they are. */
  let(value: Expr): Expr {
    if (value.constant !== undefined || value.stable) return value;
    const index = this.temp(value.type);
    this.set(index, value);
    return localGet(index, value.type, true);
  }

  set(local: number, value: Expr): void {
    writeExpr(this.code, value);
    this.code.u8(LOCAL_SET);
    this.code.u32(local);
  }

  /** Evaluates for its effect: calls and stores give no value, others are dropped. */
  do(effect: Expr): void {
    writeExpr(this.code, effect);
    if (effect.type !== undefined && !effect.void) this.code.u8(DROP);
  }

  /** What `body` emits goes before everything else: for what is known only at the end. Straight code only. */
  inPrologue(body: () => void): void {
    const { code } = this;
    this.code = this.#prologue;
    body();
    this.code = code;
  }

  /** Emits; takes it all back where `body` throws a `refusal`. Whether it was emitted. */
  attempt(body: () => void, refusal: abstract new (...args: never[]) => Error): boolean {
    const { length } = this.code;
    const depth = this.#depth;
    const scopes = this.#scopes.length;
    const later = this.#later.length;
    const hints = this.#hints.length;
    try {
      body();
      return true;
    } catch (error) {
      if (!(error instanceof refusal)) throw error;
      this.code.length = length;
      this.#depth = depth;
      this.#scopes.length = scopes;
      this.#later.length = later;
      this.#hints.length = hints;
      return false;
    }
  }

  /** What `body` emits when the function is finished comes here: for what is known only at the end. Straight code only. */
  later(body: () => void): void {
    this.#later.push({ at: this.code.length, body });
  }

  block(body: (label: Label) => void): void {
    this.#open(OP.block);
    body({ depth: this.#depth });
    this.#close();
  }

  loop(body: (label: Label) => void): void {
    this.#open(OP.loop);
    body({ depth: this.#depth });
    this.#close();
  }

  if(condition: Expr, then: () => void, otherwise?: () => void, likely?: Hint): void {
    writeExpr(this.code, condition);
    this.#hint(likely);
    this.#open(OP.if);
    then();
    if (otherwise) {
      this.code.u8(OP.else);
      otherwise();
    }
    this.#close();
  }

  #hint(likely: Hint): void {
    if (likely !== undefined && this.code !== this.#prologue) this.#hints.push({ at: this.code.length, likely });
  }

  br(label: Label): void {
    this.code.u8(OP.br);
    this.code.u32(this.#depth - label.depth);
  }

  brIf(label: Label, condition: Expr, likely?: Hint): void {
    writeExpr(this.code, condition);
    this.#hint(likely);
    this.code.u8(OP.brIf);
    this.code.u32(this.#depth - label.depth);
  }

  brTable(index: Expr, labels: readonly Label[], otherwise: Label): void {
    writeExpr(this.code, index);
    this.code.u8(OP.brTable);
    this.code.u32(labels.length);
    for (const l of labels) this.code.u32(this.#depth - l.depth);
    this.code.u32(this.#depth - otherwise.depth);
  }

  return(value?: Expr): void {
    if (value) writeExpr(this.code, value);
    this.code.u8(RETURN);
  }

  /** Leaves by calling the function at `index` of a table in this one's place; both have the same result. */
  returnCallIndirect(table: number, typeIndex: number, index: Expr, args: readonly Expr[] = []): void {
    for (const a of args) writeExpr(this.code, a);
    writeExpr(this.code, index);
    this.code.u8(RETURN_CALL_INDIRECT);
    this.code.u32(typeIndex);
    this.code.u32(table);
  }

  /** Leaves by calling a function in this one's place; both have the same result. */
  returnCall(index: number, args: readonly Expr[]): void {
    for (const a of args) writeExpr(this.code, a);
    this.code.u8(RETURN_CALL);
    this.code.u32(index);
  }

  unreachable(): void {
    this.code.u8(0x00);
  }

  /** The function's body as the code section wants it (locals, code, end), and where its hints are. */
  finish(): { readonly bytes: Uint8Array; readonly hints: readonly PlacedHint[] } {
    const out = new ByteWriter();
    const hints = [...this.#hints];
    const body = this.#complete(hints);
    const own = this.#locals.slice(this.signature.params.length);
    const groups: { type: ValType; count: number }[] = [];
    for (const type of own) {
      const last = groups.at(-1);
      if (last?.type === type) last.count++;
      else groups.push({ type, count: 1 });
    }
    out.u32(groups.length);
    for (const { type, count } of groups) {
      out.u32(count);
      out.u8(TYPE_CODE[type]);
    }
    out.bytes(this.#prologue.view());
    const start = out.length;
    out.bytes(body.view());
    // A function whose every path returns or branches still needs a value of the right type on the stack at its end.
    if (this.signature.result) out.u8(0x00);
    out.u8(OP.end);
    return { bytes: out.view().slice(), hints: hints.map(({ at, likely }) => ({ at: at + start, likely })) };
  }

  /** The code with what was put off in its places; moves the hints accordingly. */
  #complete(hints: PlacedHint[]): ByteWriter {
    if (this.#later.length === 0) return this.code;
    const { code } = this;
    const bytes = code.view();
    const whole = new ByteWriter();
    let done = 0;
    let moved = 0;
    const move = (to: number) => {
      for (; moved < hints.length && hints[moved].at < to; moved++)
        hints[moved] = { ...hints[moved], at: hints[moved].at - done + whole.length };
    };
    for (const { at, body } of this.#later) {
      move(at);
      whole.bytes(bytes.subarray(done, at));
      this.code = whole;
      body();
      done = at;
    }
    this.code = code;
    move(Number.POSITIVE_INFINITY);
    whole.bytes(bytes.subarray(done));
    return whole;
  }

  #open(op: number): void {
    this.code.u8(op);
    this.code.u8(VOID);
    this.#depth++;
  }

  #close(): void {
    this.code.u8(OP.end);
    this.#depth--;
  }
}
