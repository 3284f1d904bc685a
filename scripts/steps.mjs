// What the scripts share: running a tool of ours, installing, and saying what happens in one line each.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** A step failed; the message is for the user, without a stack trace. */
export class StepError extends Error {}

/** Runs a program in the root folder; its output goes to our standard error, so that standard output stays the guest's. */
export function run(command, args, { env = {}, inherit = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: inherit ? 'inherit' : ['ignore', process.stderr, process.stderr],
      shell: false,
    });
    child.on('error', (error) => reject(new StepError(`${command} can't be started: ${error.message}`)));
    child.on('close', (status, signal) => {
      if (status === 0) resolve();
      else reject(new StepError(`"${command} ${args.join(' ')}" ended with ${signal ?? `status ${status}`}.`));
    });
  });
}

/** The script of an installed package, run by this same Node: works without a shell and on every platform. */
export const tool = (path, args, options) =>
  run(process.execPath, [join(root, 'node_modules', path), ...args], options);

function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether node_modules holds what package-lock.json asks for. npm keeps its own record of what it has installed. */
export function isInstalled() {
  const wanted = readJson('package-lock.json');
  const present = readJson('node_modules/.package-lock.json');
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted.packages).every(
    ([path, entry]) => path === '' || entry.optional || present.packages[path]?.version === entry.version,
  );
}

/**
 * As the lock file says. Not `npm ci`, which refuses a lock file that leaves out binaries for other platforms, as one
 * written behind a mirror that does not hold them does.
 */
export async function install() {
  if (isInstalled()) return;
  process.stderr.write('Installing the development tools (npm install) ...\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  try {
    await run(npm, ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
  } catch (error) {
    throw new StepError(`The packages can't be installed; see npm's message above. (${error.message})`);
  }
}

/** Runs `main` and ends with status 1 and one line where a step failed. */
export async function runScript(main) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(`Typevisor needs Node 20.19 or newer; this is ${process.version}.\n`);
    process.exit(1);
  }
  try {
    await main();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}
