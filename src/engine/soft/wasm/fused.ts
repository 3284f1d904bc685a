/**
 * Whether the relaxed multiply-adds of WebAssembly round once. The specification leaves it to the engine: what the
 * processor does in one instruction is fused, elsewhere it is a product and a sum. Where it is fused it is the processor's
 * own FMA, which is exact for us also.
 */
import { FunctionBuilder } from './function.js';
import { ModuleBuilder } from './module.js';
import type { Expr } from './ops.js';
import * as w from './ops.js';
import { f32, f32x4, f64, f64x2 } from './simd.js';

let known: boolean | undefined;

/** The answer for this process, found out once. */
export function multiplyAddsAreFused(): boolean {
  known ??= probe();
  return known;
}

/** (1 + e)(1 - e) - 1 is -e * e; rounded twice it is 0. */
function probe(): boolean {
  const module = new ModuleBuilder();
  module.export('f64', module.add(remainder(w.f64c(1 + 2 ** -30), w.f64c(1 - 2 ** -30), w.f64c(-1), f64x2)));
  module.export('f32', module.add(remainder(w.f32c(1 + 2 ** -15), w.f32c(1 - 2 ** -15), w.f32c(-1), f32x4)));
  const bytes = module.build(1) as Uint8Array<ArrayBuffer>;
  if (!WebAssembly.validate(bytes)) return false;
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const found = exports as Record<'f64' | 'f32', () => bigint | number>;
  return BigInt.asUintN(64, found.f64() as bigint) === 0xbc30_0000_0000_0000n && found.f32() === (0xb080_0000 | 0);
}

/** A function that gives the bits of x * y + z, computed in vectors. */
function remainder(x: Expr, y: Expr, z: Expr, lanes: typeof f64x2 | typeof f32x4): FunctionBuilder {
  const wide = x.type === 'f64';
  const f = new FunctionBuilder({ params: [], result: wide ? 'i64' : 'i32' });
  const r = lanes.extract(lanes.relaxedMadd(lanes.splat(x), lanes.splat(y), lanes.splat(z)), 0);
  f.return(wide ? f64.toBits(r) : f32.toBits(r));
  return f;
}
