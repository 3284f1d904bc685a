import fc from 'fast-check';
import { expect, test } from 'vitest';
import { flowGraph } from './graph.js';

/** Lays the blocks out as compile.ts does; says what can't be written down as nested Wasm blocks and loops. */
function layOut(successors: readonly (readonly number[])[]): { placed: number[]; problems: string[] } {
  const graph = flowGraph(successors);
  const open: string[] = [];
  const placed: number[] = [];
  const problems: string[] = [];
  const inScope = (label: string, from: number, to: number) => {
    if (!open.includes(label)) problems.push(`${label} is not open for the way from ${from} to ${to}`);
  };
  const within = (label: string, body: () => void) => {
    open.push(label);
    body();
    open.pop();
  };
  const way = (from: number, to: number): void => {
    const node = graph.nodes[to + 1];
    if (graph.detours(from, to)) {
      inScope('loop 0', from, to);
      if (!graph.dispatched.includes(to)) problems.push(`${to} is detoured to but not dispatched`);
    } else if (node.order <= graph.nodes[from + 1].order) inScope(`loop ${to + 1}`, from, to);
    else if (node.merge) inScope(`merge ${to + 1}`, from, to);
    else tree(to + 1);
  };
  const inside = (node: number, i: number): void => {
    const { merged } = graph.nodes[node];
    if (i >= 0) {
      within(`merge ${merged[i]}`, () => inside(node, i - 1));
      tree(merged[i]);
    } else if (node === 0) {
      if (graph.dispatched.length === 1) tree(1);
      else for (const to of graph.dispatched) inScope(`merge ${to + 1}`, -1, to);
    } else {
      placed.push(node - 1);
      for (const to of new Set(successors[node - 1])) way(node - 1, to);
    }
  };
  const tree = (node: number): void => {
    const { loop, merged } = graph.nodes[node];
    if (loop) within(`loop ${node}`, () => inside(node, merged.length - 1));
    else inside(node, merged.length - 1);
  };
  tree(0);
  return { placed, problems };
}

function reachable(successors: readonly (readonly number[])[]): number[] {
  const seen = new Set([0]);
  for (const from of seen) for (const to of successors[from]) seen.add(to);
  return [...seen].sort((a, b) => a - b);
}

const graphs = fc
  .integer({ min: 1, max: 24 })
  .chain((n) => fc.array(fc.array(fc.nat(n - 1), { maxLength: 4 }), { minLength: n, maxLength: n }));

test('any graph of blocks can be laid out: each block once, each way with its label open', () => {
  fc.assert(
    fc.property(graphs, (successors) => {
      const { placed, problems } = layOut(successors);
      expect(problems).toEqual([]);
      expect(placed.sort((a, b) => a - b)).toEqual(reachable(successors));
    }),
    { numRuns: 2000 },
  );
});

test('a loop, a nested loop and a diamond need no dispatcher', () => {
  for (const successors of [
    [[0, 1], []],
    [[1], [2], [2, 1, 3], []],
    [[1, 2], [3], [3], []],
  ])
    expect(flowGraph(successors).dispatched).toEqual([0]);
});

test('a loop with two entries goes through the dispatcher', () => {
  const graph = flowGraph([[1, 2], [2], [1]]);
  expect(graph.dispatched).toHaveLength(2);
  expect(graph.detours(1, 2) || graph.detours(2, 1)).toBe(true);
});

test('a chain of thousands of blocks does not exhaust the stack', () => {
  const n = 20_000;
  const graph = flowGraph(Array.from({ length: n }, (_, i) => (i + 1 < n ? [i + 1] : [])));
  expect(graph.nodes[n].order).toBe(n);
});
