/**
 * v86 as a launcher: boots a kernel of 32 bits in Node with its console on standard output. Run by launchers.mjs:
 * node v86.mjs '{"module", "kernel", "initrd", "append", "memory"}'; `module` is the folder of the installed package.
 */
import { existsSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where distributions have SeaBIOS; v86 has no BIOS of its own in its package and can't do without. */
export const BIOS_FOLDERS = ['/usr/share/seabios', '/usr/share/qemu'];
const BIOS = 'bios.bin';
const VGA_BIOS = 'vgabios-stdvga.bin';

/** The folder with both BIOS files; undefined where there is none. */
export const biosFolder = () => BIOS_FOLDERS.find((d) => existsSync(join(d, BIOS)) && existsSync(join(d, VGA_BIOS)));

async function main({ module, kernel, initrd, append, memory }) {
  const { V86 } = await import(pathToFileURL(join(module, 'build/libv86.mjs')).href);
  const bytes = (path) => {
    const b = readFileSync(path);
    return { buffer: b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) };
  };
  const bios = biosFolder();
  const emulator = new V86({
    wasm_path: join(module, 'build/v86.wasm'),
    memory_size: memory,
    vga_memory_size: 8 * 2 ** 20,
    bios: bytes(join(bios, BIOS)),
    vga_bios: bytes(join(bios, VGA_BIOS)),
    bzimage: bytes(kernel),
    initrd: bytes(initrd),
    cmdline: append,
    acpi: true,
    disable_speaker: true,
    autostart: true,
  });
  let line = '';
  emulator.add_listener('serial0-output-byte', (byte) => {
    line += String.fromCharCode(byte);
    if (byte !== 10) return;
    writeSync(1, line, null, 'latin1');
    // v86 has no event for a power-off.
    if (/Power down|System halted|Kernel panic/.test(line)) process.exit(0);
    line = '';
  });
}

if (process.argv[1] === import.meta.filename) await main(JSON.parse(process.argv[2]));
