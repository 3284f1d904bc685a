/** Linux's console driver on a virtio console: bytes in both directions, more than any buffer holds, and the window. */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;

/** A module of the build, with the types of its source. */
async function built<T>(path: string): Promise<T> {
  return import(new URL(`../../dist/${path}`, import.meta.url).href);
}

/** Remembers what it gets, and says so whenever a line has ended. */
class Lines {
  text = '';
  onLine: () => void = () => {};

  write(byte: number): void {
    this.text += String.fromCharCode(byte);
    if (byte === 0x0a || byte === 0x20) this.onLine();
  }

  flush(): undefined {}
}

describe.skipIf(!hasApt)('Linux with a virtio console', { timeout: 300_000 }, () => {
  test('/dev/hvc0 carries bytes both ways, whole, and knows the window', async () => {
    const { createLinuxMachine } = await built<typeof import('../../src/host/node/machine.js')>('host/node/machine.js');
    const { NodeHost } = await built<typeof import('../../src/host/node/host.js')>('host/node/host.js');
    const { SerialPort } = await built<typeof import('../../src/host/node/serial.js')>('host/node/serial.js');
    const { fetchDebianGuest } = await built<typeof import('../../src/host/node/debian.js')>('host/node/debian.js');
    const { machineConfig } = await built<typeof import('../../src/config/config.js')>('config/config.js');
    const guest = await fetchDebianGuest({ arch: 'amd64' });
    const host = new NodeHost();
    const [shell, hvc] = [new Lines(), new Lines()];
    const [ttyS0, hvc0] = [new SerialPort(shell), new SerialPort(hvc)];
    for (const port of [ttyS0, hvc0]) port.onInput = () => host.wake();
    const end = { port: hvc0, size: { rows: 33, columns: 101 }, onResize: (): void => {} };
    const input = randomBytes(100_000);
    const steps = [
      'exec 9<>/dev/hvc0; stty raw -echo <&9; stty size <&9 >&9; seq 1 2000 >&9',
      'head -c 100000 <&9 | sha1sum >&9',
      'stty size <&9 >&9; poweroff -f',
    ];
    shell.onLine = () => {
      if (!/root@typevisor.*# $/.test(shell.text) || steps.length < 3) return;
      ttyS0.send(new TextEncoder().encode(`${steps.shift()}; ${steps.shift()}; ${steps.shift()}\n`));
    };
    hvc.onLine = () => {
      if (!hvc.text.endsWith('\n2000\n')) return;
      end.size = { rows: 40, columns: 120 };
      end.onResize();
      hvc0.send(input);
    };
    const machine = createLinuxMachine({
      config: machineConfig({ virtioConsole: true, strictVirtio: true, memory: 256 << 20, timeout: 250 }),
      kernel: guest.kernel,
      initrd: [guest.initrd],
      append: guest.append.join(' '),
      serial: [ttyS0],
      console: end,
      host,
    });
    expect(await machine.start()).toEqual({ reason: 'poweroff' });
    const numbers = Array.from({ length: 2000 }, (_, i) => `${i + 1}\n`).join('');
    const hash = createHash('sha1').update(input).digest('hex');
    expect(hvc.text).toBe(`33 101\n${numbers}${hash}  -\n40 120\n`);
  });
});
