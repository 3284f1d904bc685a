/** Runs a launcher, stamps each line of its guest's console, and watches its memory and processor time. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

const TICKS = 100; // USER_HZ, what /proc/PID/stat counts in

/** Memory and processor time of a process and its children. */
function status(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0);
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    const sum = { rssKib: kib('VmRSS'), cpu: (Number(fields[11]) + Number(fields[12])) / TICKS };
    if (sum.rssKib === 0) return undefined; // it is ending
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean);
      for (const child of children.map(status)) {
        sum.rssKib += child?.rssKib ?? 0;
        sum.cpu += child?.cpu ?? 0;
      }
    }
    return sum;
  } catch {
    return undefined;
  }
}

/**
 * @param command argv
 * @param until regular expression of the line after which the launcher is killed; without it, runs to its end
 * @param samples seconds after that line at which memory and processor time are read; it is killed after the last
 * @param mark regular expression of the line at which they are read besides
 * @returns lines [{t, text}] with t in seconds since start, the last memory reading, those at `samples` and that at `mark`
 */
export function stamp(command, { until, mark, timeout = 600, samples = [0] } = {}) {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const now = () => Number(process.hrtime.bigint() - start) / 1e9;
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = [];
    let rest = '';
    let errors = '';
    let memory;
    let marked;
    const readings = [];
    let timedOut = false;
    const read = () => {
      memory = status(child.pid) ?? memory;
      return memory;
    };
    const watch = setInterval(read, 250);
    const limit = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeout * 1000);
    child.stderr.on('data', (d) => {
      errors = (errors + d).slice(-2000);
    });
    child.stdout.on('data', (d) => {
      const t = now();
      rest += d.toString('latin1');
      for (let n = rest.indexOf('\n'); n >= 0; n = rest.indexOf('\n')) {
        const text = rest.slice(0, n).replace(/\r/g, '');
        rest = rest.slice(n + 1);
        lines.push({ t, text });
        if (mark?.test(text)) marked = read();
        if (until?.test(text)) {
          for (const [i, seconds] of samples.entries()) {
            setTimeout(() => {
              readings[i] = read();
              if (i === samples.length - 1) child.kill('SIGKILL');
            }, seconds * 1000);
          }
        }
      }
    });
    child.on('error', (error) => {
      clearInterval(watch);
      clearTimeout(limit);
      reject(error);
    });
    child.on('close', (code) => {
      clearInterval(watch);
      clearTimeout(limit);
      if (timedOut)
        reject(
          new Error(`${command[0]} took more than ${timeout} s; last line: ${lines.at(-1)?.text ?? 'none'}; ${errors}`),
        );
      else resolve({ lines, end: now(), code, memory, marked, readings, errors });
    });
  });
}
