import { expect, test } from 'vitest';
import { FunctionBuilder } from './function.js';
import { ModuleBuilder } from './module.js';
import * as w from './ops.js';

/** Not among the types that we compile with. */
const { customSections } = WebAssembly.Module as unknown as {
  customSections(module: unknown, name: string): ArrayBuffer[];
};
const IF = 0x04;
const BR_IF = 0x0d;

function hinted(): FunctionBuilder {
  const f = new FunctionBuilder({ params: ['i32'], result: 'i32' });
  const x = w.localGet(0, 'i32');
  f.set(f.local('i64'), w.i64c(1n << 40n));
  f.if(w.eqz(x), () => f.return(w.i32c(7)), undefined, false);
  f.later(() => f.set(0, w.add(x, w.i32c(1000))));
  f.block((out) => {
    f.brIf(out, w.ltS(x, w.i32c(5)), true);
    f.return(w.i32c(8));
  });
  f.return(x);
  f.inPrologue(() => f.set(0, w.sub(x, w.i32c(1))));
  return f;
}

test('hints name the branches that they were given for, wherever other code has come in between', () => {
  const { bytes, hints } = hinted().finish();
  expect(hints.map(({ at, likely }) => [bytes[at], likely])).toEqual([
    [IF, false],
    [BR_IF, true],
  ]);
});

test('what is taken back leaves no hints', () => {
  const f = hinted();
  const body = () => {
    f.if(w.i32c(1), () => {}, undefined, true);
    throw new RangeError();
  };
  expect(f.attempt(body, RangeError)).toBe(false);
  expect(f.finish().hints).toHaveLength(2);
});

test('a module with hints is valid and does the same', async () => {
  const module = new ModuleBuilder();
  module.export('f', module.add(hinted()));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const compiled = new WebAssembly.Module(module.build(1) as Uint8Array<ArrayBuffer>);
  expect(customSections(compiled, 'metadata.code.branch_hint')).toHaveLength(1);
  const { f } = new WebAssembly.Instance(compiled, { env: { memory } }).exports as Record<
    string,
    (x: number) => number
  >;
  expect([f(1), f(2)]).toEqual([7, 8]);
});

test('a module says which of its functions is to be optimized at once, and that the others are to wait', () => {
  const module = new ModuleBuilder();
  module.import('env', 'g', { params: [], result: undefined });
  const [first, second] = [hinted(), hinted()].map((f) => module.add(f));
  module.export('first', first);
  module.optimizeAtOnce(second);
  const compiled = new WebAssembly.Module(module.build(1) as Uint8Array<ArrayBuffer>);
  const [hints] = customSections(compiled, 'compilationHints');
  const LAZY = 1;
  const OPTIMIZE = 0x2a; // eagerly (2), and neither the first tier nor the last is another than the optimized one (2)
  expect([...new Uint8Array(hints)]).toEqual([2, LAZY, OPTIMIZE]);
});
