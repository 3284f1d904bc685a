// npm test: installs and builds where need be, then checks style, types and behaviour.
// --full adds the long suites; other arguments go to vitest.
import { build } from './build.mjs';
import { install, runScript, tool } from './steps.mjs';

await runScript(async () => {
  const args = process.argv.slice(2);
  const full = args.includes('--full');
  await install();
  await build();
  await tool('@biomejs/biome/bin/biome', ['check', '.'], { inherit: true });
  await tool('typescript/bin/tsc', ['--noEmit'], { inherit: true });
  await tool('typescript/bin/tsc', ['-p', 'test'], { inherit: true });
  const env = full ? { TYPEVISOR_FULL: '1' } : {};
  await tool('vitest/vitest.mjs', ['run', ...args.filter((arg) => arg !== '--full')], { inherit: true, env });
});
