/**
 * The house keeps its shape: imports point one way, the layers below `host/` know nothing of Node, and no file grows
 * beyond what one can read in a sitting. ARCHITECTURE.md explains why.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** What each layer may import, besides itself. `src/index.ts` is the front end called library. */
const ALLOWED: { readonly [layer: string]: readonly string[] } = {
  index: ['cli', 'host', 'config', 'machine', 'board', 'boot', 'devices', 'engine', 'engine/soft', 'engine/kvm'],
  cli: ['index', 'host', 'config', 'machine', 'board', 'boot', 'devices', 'engine', 'engine/soft', 'engine/kvm'],
  host: ['config', 'machine', 'board', 'boot', 'net', 'devices', 'engine', 'engine/soft', 'engine/kvm'],
  machine: ['config', 'board', 'boot', 'devices', 'engine'],
  config: [],
  board: ['boot', 'devices', 'engine'],
  boot: ['devices', 'engine'],
  net: ['devices'],
  devices: ['engine'],
  engine: [],
  'engine/soft': ['engine'],
  'engine/kvm': ['engine'],
};
/** Layers that run in a browser as they are. */
const PURE = ['machine', 'config', 'board', 'boot', 'net', 'devices', 'engine', 'engine/soft', 'engine/kvm'];
/** Globals of Node that a pure layer must not lean on. */
const NODE_GLOBALS = ['Buffer', 'process', '__dirname', '__filename', 'require', 'setImmediate'];
const LONGEST_FILE = 750;

interface Source {
  /** As `src/machine/clock.ts`. */
  readonly path: string;
  readonly text: string;
}

function sources(folder: string): Source[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.generated.ts'))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(root, path), text: readFileSync(path, 'utf8') };
    });
}

function layerOf(path: string): string {
  const [, first, second] = path.split('/');
  if (first === 'engine' && (second === 'soft' || second === 'kvm')) return `engine/${second}`;
  return first.replace(/\.ts$/, '');
}

/** The text with comments blanked and with strings too, if asked. */
function withoutComments(text: string, strings = false): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, (match) =>
    match.startsWith('/') || strings ? ' ' : match,
  );
}

function importsOf(text: string): string[] {
  const code = withoutComments(text);
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)].map((match) => match[1]);
}

function isNodeModule(name: string): boolean {
  return name.startsWith('node:') || builtinModules.includes(name);
}

/** What is wrong with the imports of one source, as sentences. */
function brokenArrows(source: Source): string[] {
  const layer = layerOf(source.path);
  const allowed = ALLOWED[layer];
  if (allowed === undefined) return [`${source.path} belongs to no layer that this test knows.`];
  const pure = PURE.includes(layer);
  return importsOf(source.text).flatMap((name) => {
    if (!name.startsWith('.')) {
      return pure && isNodeModule(name) ? [`${source.path} imports ${name}, which is Node's.`] : [];
    }
    const target = normalize(join(dirname(source.path), name));
    if (!target.startsWith('src/')) return [`${source.path} imports ${name}, which lies outside src.`];
    const other = layerOf(target);
    return other === layer || allowed.includes(other) ? [] : [`${source.path} (${layer}) imports ${name} (${other}).`];
  });
}

function nodeGlobals(source: Source): string[] {
  if (!PURE.includes(layerOf(source.path))) return [];
  const code = withoutComments(source.text, true);
  return NODE_GLOBALS.filter((name) => new RegExp(`(?<![.\\w])${name}\\s*[.(]`).test(code)).map(
    (name) => `${source.path} uses ${name}, which is Node's.`,
  );
}

const all = sources('src');
// Tests may use Node; AssemblyScript has nothing of Node to use.
const shipped = all.filter(
  ({ path }) => !/\.(test|d)\.ts$/.test(path) && !/^src\/(engine\/soft\/core|boot\/unpack)\//.test(path),
);

describe('the house', () => {
  test('has sources to look at', () => expect(shipped.length).toBeGreaterThan(20));

  test('has imports that point downwards only, and nothing of Node below host/', () => {
    expect(shipped.flatMap(brokenArrows)).toEqual([]);
  });

  test('uses no global of Node below host/', () => {
    expect(shipped.flatMap(nodeGlobals)).toEqual([]);
  });

  test(`has no file longer than ${LONGEST_FILE} lines`, () => {
    const long = [...all, ...sources('test')]
      .map(({ path, text }) => ({ path, lines: text.split('\n').length }))
      .filter(({ lines }) => lines > LONGEST_FILE);
    expect(long).toEqual([]);
  });
});

describe('this test itself', () => {
  test.each([
    ['src/devices/uart/uart.ts', "import { readFileSync } from 'node:fs';"],
    ['src/devices/uart/uart.ts', "import fs from 'fs';"],
    ['src/board/board.ts', "import { NodeHost } from '../host/node/host.js';"],
    ['src/boot/elf.ts', "import type { Machine } from '../machine/machine.js';"],
    ['src/engine/soft/engine.ts', "export * from '../../devices/device.js';"],
    ['src/machine/machine.ts', "const soft = await import('../engine/soft/engine.js');"],
    ['src/config/config.ts', "import { run } from '../cli/run.js';"],
    ['src/nowhere/x.ts', ''],
  ])('finds the broken arrow in %s: %s', (path, text) => {
    expect(brokenArrows({ path, text })).toHaveLength(1);
  });

  test.each([
    ['src/cli/run.ts', "import { readFileSync } from 'node:fs';"],
    ['src/board/board.ts', "import { Uart } from '../devices/uart/uart.js';"],
    ['src/engine/soft/engine.ts', "import type { Engine } from '../contract.js';"],
    ['src/devices/a.ts', "// import fs from 'node:fs';\n/* import fs from 'fs' */"],
  ])('is content with %s: %s', (path, text) => {
    expect(brokenArrows({ path, text })).toEqual([]);
  });

  test('finds globals of Node in code, not in comments, strings or members', () => {
    const path = 'src/boot/x.ts';
    expect(nodeGlobals({ path, text: 'const b = Buffer.from(x);' })).toHaveLength(1);
    expect(nodeGlobals({ path, text: 'process.exit(1);' })).toHaveLength(1);
    expect(nodeGlobals({ path, text: "// Buffer.from\nthis.process(1); const s = 'process.exit';" })).toEqual([]);
  });
});
