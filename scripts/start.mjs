// npm start: installs and builds where need be, then runs the Debian guest. Arguments go to `typevisor run debian`.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { install, root, runScript } from './steps.mjs';

await runScript(async () => {
  await install();
  await build();
});
const main = join(root, 'dist/cli/main.js');
process.argv = [process.execPath, main, 'run', 'debian', ...process.argv.slice(2)];
await import(pathToFileURL(main).href);
