/** Runs a launcher, stamps each line of its guest's console, and watches its memory and processor time. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICKS = 100; // USER_HZ, what /proc/PID/stat counts in

function status(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0);
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return { rssKib: kib('VmRSS'), peakKib: kib('VmHWM'), cpu: (Number(fields[11]) + Number(fields[12])) / TICKS };
  } catch {
    return undefined;
  }
}

/**
 * @param command argv
 * @param until regular expression of the line after which the launcher is killed; without it, runs to its end
 * @param samples seconds after that line at which memory and processor time are read; it is killed after the last
 * @returns lines [{t, text}] with t in seconds since start, the last memory reading, and the readings at `samples`
 */
export function stamp(command, { until, timeout = 600, samples = [0] } = {}) {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const now = () => Number(process.hrtime.bigint() - start) / 1e9;
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = [];
    let rest = '';
    let errors = '';
    let memory;
    const readings = [];
    let timedOut = false;
    const watch = setInterval(() => {
      memory = status(child.pid) ?? memory;
    }, 250);
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
        if (until?.test(text)) {
          for (const [i, seconds] of samples.entries()) {
            setTimeout(() => {
              memory = status(child.pid) ?? memory;
              readings[i] = memory;
              if (i === samples.length - 1) child.kill('SIGKILL');
            }, seconds * 1000);
          }
        }
      }
    });
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(watch);
      clearTimeout(limit);
      if (timedOut)
        reject(
          new Error(`${command[0]} took more than ${timeout} s; last line: ${lines.at(-1)?.text ?? 'none'}; ${errors}`),
        );
      else resolve({ lines, end: now(), code, memory, readings, errors });
    });
  });
}
