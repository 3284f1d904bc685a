// npm run bench: installs and builds where need be, then measures (bench/run.mjs has the options).
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { install, root, runScript } from './steps.mjs';

await runScript(async () => {
  await install();
  await build();
});
await import(pathToFileURL(join(root, 'bench/run.mjs')).href);
