/**
 * The shape of a region for WebAssembly's structured control flow (after N. Ramsey, "Beyond Relooper", ICFP 2022): reverse
 * postorder, dominators, loops. Node 0 is the dispatcher: whatever comes from outside, and every jump back that is no
 * loop's, goes through it, so the graph is reducible whatever the guest's code looks like.
 */

export interface FlowNode {
  /** Place in reverse postorder; the dispatcher is 0. */
  readonly order: number;
  /** Nodes that only this one leads to at once, and that several ways meet in: by order, to be laid out behind it. */
  readonly merged: readonly number[];
  /** Ways back lead here. */
  readonly loop: boolean;
  /** Several ways forward meet here. */
  readonly merge: boolean;
}

export interface FlowGraph {
  /** By node; node n + 1 is block n. A block that nothing leads to has order -1. */
  readonly nodes: readonly FlowNode[];
  /** Blocks that the dispatcher leads to, the entries first. */
  readonly dispatched: readonly number[];
  /** Whether the way from one block to another goes through the dispatcher. */
  detours(from: number, to: number): boolean;
}

interface Order {
  readonly order: readonly number[];
  readonly post: readonly number[];
  readonly idom: readonly number[];
}

/**
 * @param successors blocks that each block leads to
 * @param entries blocks that are entered from outside: they are dispatched to, in this order
 */
export function flowGraph(successors: readonly (readonly number[])[], entries: readonly number[] = [0]): FlowGraph {
  const dispatched = [...entries];
  const detour = new Set<string>();
  const key = (from: number, to: number) => `${from}>${to}`;
  for (;;) {
    const next: number[][] = [dispatched.map((b) => b + 1)];
    for (const [from, list] of successors.entries()) {
      const direct = new Set<number>();
      for (const to of list) direct.add(detour.has(key(from, to)) ? 0 : to + 1);
      next.push([...direct]);
    }
    const o = orderOf(next);
    let again = false;
    for (const [from, list] of successors.entries()) {
      if (o.order[from + 1] < 0) continue;
      for (const to of list) {
        if (detour.has(key(from, to)) || o.order[to + 1] > o.order[from + 1]) continue;
        if (dominates(o, to + 1, from + 1)) continue;
        detour.add(key(from, to));
        if (!dispatched.includes(to)) dispatched.push(to);
        again = true;
      }
    }
    if (!again) return { nodes: nodesOf(next, o), dispatched, detours: (from, to) => detour.has(key(from, to)) };
  }
}

/** Whether a way leads from a block back to it. */
export function isOnCycle(successors: readonly (readonly number[])[], block: number): boolean {
  const seen = new Set<number>();
  const work = [...successors[block]];
  while (work.length > 0) {
    const next = work.pop()!;
    if (next === block) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    work.push(...successors[next]);
  }
  return false;
}

function orderOf(next: readonly (readonly number[])[]): Order {
  const post: number[] = [];
  const seen = new Uint8Array(next.length);
  // By hand: a chain of blocks may be longer than the stack is deep.
  const stack: { node: number; at: number }[] = [{ node: 0, at: 0 }];
  seen[0] = 1;
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const list = next[top.node];
    // Backwards, so that what is named first comes first.
    if (top.at < list.length) {
      const to = list[list.length - 1 - top.at++];
      if (!seen[to]) {
        seen[to] = 1;
        stack.push({ node: to, at: 0 });
      }
    } else {
      post.push(top.node);
      stack.pop();
    }
  }
  const order = new Array<number>(next.length).fill(-1);
  post.reverse().forEach((node, i) => {
    order[node] = i;
  });
  return { order, post, idom: dominatorsOf(next, post, order) };
}

/** Immediate dominators (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm"). */
function dominatorsOf(
  next: readonly (readonly number[])[],
  byOrder: readonly number[],
  order: readonly number[],
): number[] {
  const before: number[][] = next.map(() => []);
  for (const node of byOrder) for (const to of next[node]) before[to].push(node);
  const idom = new Array<number>(next.length).fill(-1);
  idom[0] = 0;
  const meet = (a: number, b: number): number => {
    while (a !== b) {
      while (order[a] > order[b]) a = idom[a];
      while (order[b] > order[a]) b = idom[b];
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of byOrder) {
      if (node === 0) continue;
      let best = -1;
      for (const p of before[node]) if (idom[p] >= 0) best = best < 0 ? p : meet(p, best);
      if (idom[node] !== best) {
        idom[node] = best;
        changed = true;
      }
    }
  }
  return idom;
}

function dominates({ order, idom }: Order, a: number, b: number): boolean {
  while (order[b] > order[a]) b = idom[b];
  return a === b;
}

function nodesOf(next: readonly (readonly number[])[], { order, post, idom }: Order): FlowNode[] {
  const forward = new Array<number>(next.length).fill(0);
  const loop = new Array<boolean>(next.length).fill(false);
  for (const from of post)
    for (const to of next[from]) {
      if (order[to] > order[from]) forward[to]++;
      else loop[to] = true;
    }
  // The dispatcher reaches its blocks by a br_table, which needs labels.
  if (next[0].length > 1) for (const to of next[0]) forward[to] = Math.max(forward[to], 2);
  const merged: number[][] = next.map(() => []);
  for (const node of post) if (node !== 0 && forward[node] > 1) merged[idom[node]].push(node);
  return next.map((_, node) => ({
    order: order[node],
    merged: merged[node].sort((a, b) => order[a] - order[b]),
    loop: loop[node],
    merge: forward[node] > 1,
  }));
}
