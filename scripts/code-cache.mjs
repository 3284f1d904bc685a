// node scripts/code-cache.mjs PROGRAM.cjs: writes beside it what V8 makes of the command line's program, as main.ts wants it.
// The program runs a guest of a few instructions first, so that what is called on the way to a guest's first step is in there.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { tinyKernel } from '../bench/lib/tiny-kernel.mjs';

const [filename] = process.argv.slice(2);
// As main.ts does: another V8's cache is refused, and so is the same one's with other flags.
const flags = new URL('../host/node/wasm-flags.js', pathToFileURL(filename));
(await import(flags.href)).askForWasmFeatures();
const source = readFileSync(filename, 'latin1');
const script = new Script(source, { filename });
const module = {};
script.runInThisContext()(module, createRequire(filename), filename);

const folder = mkdtempSync(join(tmpdir(), 'typevisor-cache-'));
try {
  const kernel = join(folder, 'kernel');
  writeFileSync(kernel, tinyKernel());
  const { write } = process.stderr;
  process.stdout.write = process.stderr.write = () => true;
  // Without KVM this ends early.
  const guest = ['--engine', 'kvm', '--memory', '64M', '--kernel', kernel, '--timeout', '0.2'];
  await module.exports.main(['run', ...guest], {});
  process.stderr.write = write;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const cache = filename.replace(/\.cjs$/, '.cache');
writeFileSync(`${cache}.new`, script.createCachedData());
renameSync(`${cache}.new`, cache);
process.exit(0);
